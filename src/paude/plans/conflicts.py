"""Conflicts of the sync: both versions looked at, one chosen, the other kept aside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio.to_thread

from paude.errors import NotFound, PaudeError, UsageError
from paude.gate.workspace import Version, Workspace
from paude.plans.reach import gate_reached
from paude.sessions.records import Record
from paude.settings import Paths
from paude.sync import aside, session
from paude.sync.shown import difference, visible
from paude.sync.state import Conflict, SyncState

KEEP = ("local", "agent", "both")


@dataclass(frozen=True)
class Resolved:
    """A conflict that is over; `kept` are the places where the version that lost can be found, if one did."""

    path: str
    kept: tuple[str, ...]


async def resolve(paths: Paths, record: Record, path: str, keep: str) -> Resolved:
    """End the conflict at `path`. The version that loses is moved, never deleted.

    Raises UsageError for what is in no conflict, PaudeError when the conflict is still there afterwards.
    """
    if keep not in KEEP:
        raise UsageError(f"there is no choice {keep!r}", hint="choices: " + ", ".join(KEEP))
    _chosen(await session.flush(paths, record.name), path)
    if keep == "agent":
        kept = await _laptop_aside(paths, record, path)
    else:
        async with gate_reached(paths, record.name) as connection:
            pod = Workspace(connection)
            kept = await (_pod_aside(paths, record, pod, path) if keep == "local" else _pod_beside(pod, path))
    state = await session.flush(paths, record.name)
    if any(one.path == path for one in state.conflicts):
        raise PaudeError(f"{visible(path)} is still in conflict", why="both sides changed it again", hint="try again")
    return Resolved(path, kept)


def _chosen(state: SyncState, path: str) -> Conflict:
    for one in state.conflicts:
        if one.path == path:
            return one
    known = ", ".join(visible(one.path) for one in state.conflicts[:10]) or "none"
    raise UsageError(f"{visible(path)} is in no conflict", why=f"conflicts: {known}", hint="`paude sync conflicts`")


async def _laptop_aside(paths: Paths, record: Record, path: str) -> tuple[str, ...]:
    kept = aside.place(paths, record.name, path)
    moved = await anyio.to_thread.run_sync(aside.move, Path(record.workspace), path, kept)
    return (str(kept),) if moved else ()


async def _pod_aside(paths: Paths, record: Record, pod: Workspace, path: str) -> tuple[str, ...]:
    """On the volume, and here too when it is one file that the gate shows."""
    version = await pod.read(path)
    if version.entry.kind == "absent":
        return ()
    here: tuple[str, ...] = ()
    if version.content is not None:
        kept = aside.place(paths, record.name, path)
        await anyio.to_thread.run_sync(kept.write_bytes, version.content)
        here = (str(kept),)
    place = await pod.set_aside(path)
    return (*here, f"{place} on the session's volume")


async def _pod_beside(pod: Workspace, path: str) -> tuple[str, ...]:
    """Under another name, which the sync brings to the laptop too."""
    if (await pod.read(path)).entry.kind == "absent":
        return ()
    for name in _names(PurePosixPath(path)):
        if (await pod.read(name)).entry.kind == "absent":
            await pod.rename(path, PurePosixPath(name).name)
            return (name,)
    raise PaudeError(f"no free name beside {visible(path)}")


def _names(path: PurePosixPath) -> Iterable[str]:
    suffix = "".join(path.suffixes) if not path.name.startswith(".") else ""
    stem = path.name.removesuffix(suffix)
    for number in range(1, 100):
        yield str(path.with_name(f"{stem}.agent{number if number > 1 else ''}{suffix}"))


async def differences(paths: Paths, record: Record, path: str = "") -> AsyncGenerator[tuple[Conflict, str], None]:
    """Each conflict, or the one at `path`, with a diff from the laptop's version to the agent's."""
    state = await session.state(paths, record.name)
    wanted = state.conflicts if not path else (_chosen(state, path),)
    async with gate_reached(paths, record.name) as connection:
        for one in wanted:
            version = await Workspace(connection).read(one.path)
            yield one, await anyio.to_thread.run_sync(_difference, Path(record.workspace), one.path, version)


def _difference(workspace: Path, path: str, version: Version) -> str:
    here, what = _local(workspace / path)
    there = version.entry.kind
    if {what, there} - {"file", "absent"} or (there == "file" and version.content is None):
        return f"here: {what}; in the pod: {there} {version.entry.error}".rstrip()
    return difference(path, here, version.content)


def _local(file: Path) -> tuple[bytes | None, str]:
    if file.is_symlink():
        return None, "a link"
    if file.is_dir():
        return None, "a directory"
    try:
        return file.read_bytes(), "file"
    except FileNotFoundError:
        return None, "absent"
    except OSError as exc:
        raise NotFound(f"{visible(str(file))} cannot be read", why=exc.strerror or str(exc)) from exc
