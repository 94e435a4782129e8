"""What this machine knows of its sessions: one directory each, one record in it, written as a whole or not at all.

The cluster's labels are the truth; records are a cache that can be rebuilt. A record that cannot be read is
reported and left alone, never deleted or overwritten silently.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from paude.errors import NameTaken, NotFound, PaudeError, SettingsError
from paude.sessions.names import validate
from paude.settings import Paths

SCHEMA = 1
_LARGEST = 256 * 1024
_FILE = "record.json"
_OF_ONE_MACHINE = {"server", "namespace", "user", "kubeconfig", "committed", "guest", "claimed"}


@dataclass(frozen=True)
class Record:
    """One session as this machine knows it.

    `uid` is the 16 hex digits that every object of the session carries. `server` is the API server's address:
    records never hold a context's name. `created_at` is UTC in ISO 8601. `allowlist` names the proxy made for `hosts`
    and `company`, which is what the company's network asks for, as JSON.
    `expires` (UTC in ISO 8601) is when what the agent works with ends to be good; empty when it does not.
    `mounted`: the agent works on the developer's directory itself, and nothing is synced.
    `committed` is False while a start is under way (or was killed): such a session is cleaned up, not resumed.
    `guest`: it was started on another machine, whose directory `workspace` is; this one has the keys and no more.
    `claimed`: its sync was taken over while it was stopped, and its gate hears of it when it starts.
    """

    name: str
    uid: str
    backend: str
    workspace: str
    agent: str
    created_at: str
    server: str = ""
    namespace: str = ""
    user: str = ""
    kubeconfig: tuple[str, ...] = ()
    allowlist: str = ""
    hosts: tuple[str, ...] = ()
    company: str = ""
    gate_image: str = ""
    agent_image: str = ""
    proxy_image: str = ""
    pod: str = ""
    volume: str = "claim"
    committed: bool = False
    mounted: bool = False
    expires: str = ""
    guest: bool = False
    claimed: bool = False
    schema: int = SCHEMA

    @property
    def created(self) -> datetime:
        """When the session was made; the epoch when the record does not say."""
        try:
            moment = datetime.fromisoformat(self.created_at)
        except ValueError:
            return datetime.fromtimestamp(0, UTC)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Unreadable:
    """A record that is there and cannot be used; `newer`: written by a later version of paude."""

    name: str
    path: Path
    why: str
    newer: bool = False

    def error(self) -> SettingsError:
        """The error for a command that needs this very record."""
        hint = "update paude" if self.newer else f"look at {self.path}; the session itself is in the cluster"
        return SettingsError(f"the record of session {self.name} cannot be used", why=self.why, hint=hint)


def now() -> str:
    """The time, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def directory_of(paths: Paths, name: str) -> Path:
    """Where this machine keeps what it knows of a session. Raises UsageError for no name: it would be a path."""
    return paths.session(validate(name))


def file_of(paths: Paths, name: str) -> Path:
    """The session's record. Raises UsageError for what cannot be a name."""
    return directory_of(paths, name) / _FILE


def save(paths: Paths, record: Record) -> None:
    """Write the record, 0600, so that a crash leaves the old one or the new one. Raises SettingsError."""
    target = file_of(paths, record.name)
    data = json.dumps(dataclasses.asdict(record), indent=1).encode() + b"\n"
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(target, data)
    except OSError as exc:
        raise SettingsError(f"the record of session {record.name} cannot be written", why=str(exc)) from exc


def portable(record: Record) -> bytes:
    """The record as other machines of the user may read it: without where this one found the session."""
    facts = dataclasses.asdict(record)
    return json.dumps({key: value for key, value in facts.items() if key not in _OF_ONE_MACHINE}).encode()


def of_another_machine(name: str, data: bytes) -> Record:
    """What `portable` made, as the record of a guest. Raises SettingsError when it cannot be used."""
    found = _parse(name, Path(f"the Secret of session {name}"), data)
    if isinstance(found, Unreadable):
        hint = "update paude" if found.newer else "`paude start`, where the session was started, writes it anew"
        raise SettingsError(f"what the cluster keeps of session {name} cannot be used", why=found.why, hint=hint)
    return dataclasses.replace(found, guest=True, committed=True)


def load(paths: Paths, name: str) -> Record | Unreadable | None:
    """The record of `name`; None when this machine has none. Raises UsageError for what cannot be a name."""
    path = file_of(paths, name)
    try:
        with path.open("rb") as source:
            data = source.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        return Unreadable(name, path, exc.strerror or str(exc))
    return _parse(name, path, data)


def load_all(paths: Paths) -> list[Record | Unreadable]:
    """Every record of this machine, sorted by name; directories that are no sessions are passed over."""
    try:
        names = sorted(entry.name for entry in paths.sessions.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [found for name in names if (found := _load_quietly(paths, name)) is not None]


def here(paths: Paths) -> list[Record]:
    """The records that can be read of the sessions whose workspace is on this machine."""
    return [found for found in load_all(paths) if isinstance(found, Record) and not found.guest]


def names_of(paths: Paths) -> list[str]:
    """The names of the sessions whose records can be read."""
    return [found.name for found in load_all(paths) if isinstance(found, Record)]


def most_recent(paths: Paths) -> Record | None:
    """The session that was started last and is ready to be used; None without one."""
    usable = (r for r in load_all(paths) if isinstance(r, Record) and r.committed)
    return max(usable, key=lambda record: (record.created, record.name), default=None)


def forget(paths: Paths, name: str) -> None:
    """Remove everything this machine keeps of the session. Raises SettingsError when files resist."""
    directory = directory_of(paths, name)
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise SettingsError(f"{directory} cannot be removed", why=str(exc)) from exc


def sweep(paths: Paths) -> None:
    """Remove directories that no session has: what a start left that was killed before it wrote its record."""
    found = paths.sessions.glob("*") if paths.sessions.is_dir() else ()
    for directory in [one for one in found if not (one / _FILE).exists()]:
        # Who holds the lock is just beginning, and what cannot be a session's name is not ours.
        with contextlib.suppress(PaudeError), locked(paths, directory.name):
            if not (directory / _FILE).exists():
                forget(paths, directory.name)


@contextlib.contextmanager
def locked(paths: Paths, name: str) -> Iterator[None]:
    """Keep other paude commands of this user away from the session while the block runs.

    The lock goes with the process, however that ends. Raises NameTaken at once when somebody has it.
    """
    with _held(paths.state / "locks" / validate(name), f"session {name}", "wait for it and try again"):
        yield


@contextlib.contextmanager
def held(paths: Paths, record: Record) -> Iterator[Record]:
    """Lock the session of a record that was read before, and give its record as it is now.

    Whoever had the lock meanwhile may have changed it, or ended the session. Raises NameTaken at once when somebody
    has the lock, NotFound when the session is not there any more, SettingsError when its record cannot be used.
    """
    with locked(paths, record.name):
        found = load(paths, record.name)
        if isinstance(found, Unreadable):
            raise found.error()
        if found is None or found.uid != record.uid:
            raise NotFound(f"the session {record.name} was ended meanwhile", hint="`paude sessions` shows those left")
        yield found


@contextlib.contextmanager
def workspace_locked(paths: Paths, workspace: str) -> Iterator[None]:
    """Keep other starts of this directory away while the block runs: a directory is in step with one session.

    Raises NameTaken at once when another one is at it.
    """
    name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:16]
    with _held(paths.state / "locks" / "workspaces" / name, workspace, "`paude attach` follows what it does"):
        yield


@contextlib.contextmanager
def _held(file: Path, what: str, hint: str) -> Iterator[None]:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SettingsError(f"{what} cannot be locked", why=str(exc)) from exc
    with os.fdopen(handle, "r+") as lock:
        while not _taken(lock, fcntl.LOCK_EX):
            if not _taken(lock, fcntl.LOCK_SH):
                holder = lock.read(20)
                why = f"process {holder}" if holder.isdigit() else ""
                raise NameTaken(f"another paude command is at work on {what}", why=why, hint=hint)
            # Only somebody who looks whether it is held was in the way, and has gone in a moment.
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def at_work(paths: Paths, name: str) -> bool:
    """Whether a paude command is at work on the session now."""
    try:
        handle = os.open(paths.state / "locks" / validate(name), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(handle, "r+") as lock:
        return not _taken(lock, fcntl.LOCK_SH)


def _taken(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _replace(target: Path, data: bytes) -> None:
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _load_quietly(paths: Paths, name: str) -> Record | Unreadable | None:
    try:
        return load(paths, name)
    except PaudeError:
        return None


def _parse(name: str, path: Path, data: bytes) -> Record | Unreadable:
    try:
        found = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):
        return Unreadable(name, path, "it is damaged: no JSON")
    if not isinstance(found, dict):
        return Unreadable(name, path, "it is damaged: no JSON object")
    schema = found.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        return Unreadable(name, path, f"it was written by a newer paude (schema {schema})", newer=True)
    return _record(name, path, found)


def _record(name: str, path: Path, found: Mapping[str, Any]) -> Record | Unreadable:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Record):
        if field.name not in found:
            if field.default is dataclasses.MISSING:
                return Unreadable(name, path, f"it is damaged: no {field.name}")
            continue
        value = _typed(str(field.type), found[field.name])
        if value is None:
            return Unreadable(name, path, f"it is damaged: {field.name} is of the wrong kind")
        values[field.name] = value
    if values["name"] != name:
        return Unreadable(name, path, "it is damaged: it names another session")
    return Record(**values)


def _typed(kind: str, value: object) -> object | None:
    """`value` as a field of that kind holds it, None if it cannot."""
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "int":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind == "str":
        return value if isinstance(value, str) else None
    is_words = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return tuple(value) if is_words and isinstance(value, list) else None
