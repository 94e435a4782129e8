"""Which session a verb means: the one named, else the most recent one."""

from __future__ import annotations

from paude.errors import NotFound
from paude.sessions import records
from paude.sessions.records import Record, Unreadable
from paude.settings import Paths


def record_of(name: str | None, paths: Paths) -> Record:
    """The record of the session. Raises NotFound, or SettingsError for a record that cannot be read."""
    found = records.load(paths, name) if name is not None else _latest(paths)
    if isinstance(found, Unreadable):
        raise found.error()
    if found is not None:
        return found
    if name is None:
        raise NotFound("there is no session", hint="`paude start` in a project's directory makes one")
    known = ", ".join(r.name for r in records.load_all(paths)) or "none"
    raise NotFound(f"there is no session {name}", why=f"known on this machine: {known}", hint="see `paude sessions`")


def _latest(paths: Paths) -> Record | None:
    found = records.most_recent(paths)
    if found is not None:
        return found
    unfinished = [r for r in records.load_all(paths) if isinstance(r, Record)]
    return max(unfinished, key=lambda r: r.created, default=None)
