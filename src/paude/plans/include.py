"""`paude sync include`: one more path of what stays at home travels, from now on and at every later start.

Decided here and kept here, beside what the start decided: the rules of the workspace, which an agent may have changed
since, are not read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio.to_thread

from paude.errors import NotFound, UsageError
from paude.sessions.records import Record
from paude.settings import Paths
from paude.sync import decided, selection, session
from paude.sync.patterns import Matcher
from paude.sync.selection import Outgoing, Size
from paude.sync.shown import visible
from paude.sync.state import SyncState


@dataclass(frozen=True)
class Release:
    """What would go out beside the rest, and nothing is done yet.

    `secret` says that the path itself looks secret; `stays` are the paths below it that do, and stay.
    """

    path: str
    outgoing: Outgoing
    more: tuple[str, ...]
    size: Size
    secret: bool
    stays: tuple[str, ...]


async def look(paths: Paths, record: Record, path: str) -> Release:
    """What including `path` (from the workspace's top) would release. Raises UsageError for what never travels."""
    workspace = Path(record.workspace)
    before = await _decided(paths, workspace)
    name = _checked(before, path)
    secret = await anyio.to_thread.run_sync(selection.looks_secret, workspace, name)
    chosen = await selection.including(workspace, before, (name,), (name,) if secret else ())
    more = await selection.newly_sent(workspace, before, chosen)
    size = await selection.measure_of(workspace, more)
    stays = tuple(one for one in chosen.held_back if one.startswith(f"{name}/") and one not in before.held_back)
    return Release(name, chosen, more, size, secret, stays)


async def include(paths: Paths, record: Record, release: Release) -> SyncState:
    """Do it: the running sync takes it at once. What was agreed to is kept when it has. Raises as the sync does."""
    state = await session.change_rules(paths, record.name, release.outgoing)
    await anyio.to_thread.run_sync(decided.save, paths, Path(record.workspace), release.outgoing)
    return state


async def included(paths: Paths, record: Record) -> tuple[str, ...]:
    """The paths that were released by command."""
    return (await _decided(paths, Path(record.workspace))).included


async def _decided(paths: Paths, workspace: Path) -> Outgoing:
    found = await anyio.to_thread.run_sync(decided.load, paths, workspace)
    if found is None:
        raise NotFound(f"what goes out of {workspace} was not decided here", hint="`paude start` decides it")
    return found


def _checked(before: Outgoing, path: str) -> str:
    """The path in the form in which rules know it."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise UsageError(f"{visible(path)!r} is no path of the workspace", hint="name a file or a directory in it")
    name, never = "/".join(parts), Matcher(selection.NEVER)
    if any(never.ignored("/".join(parts[: depth + 1]), directory=True) for depth in range(len(parts))):
        raise UsageError(f"{visible(name)} never travels", why="version control goes by git, and never by the sync")
    wanted = before.only or (name,)
    if not any(name == one or name.startswith(f"{one}/") for one in wanted):
        raise UsageError(
            f"{visible(name)} is outside of what this session is confined to",
            why=f"it was started with --only {', '.join(map(visible, before.only))}",
        )
    return name
