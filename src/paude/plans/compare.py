"""Whether both ends hold the same: every file hashed on both sides, what differs and is not explained told."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread

from paude.gate.workspace import Workspace
from paude.plans.reach import gate_reached
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.connection import Connection
from paude.sync import session
from paude.sync.compare import Difference, Facts, differences, local_tree, travelling
from paude.sync.guard import path_is_held
from paude.sync.patterns import Matcher
from paude.sync.state import SyncState

# What is being edited differs for a moment: only what differs in each of so many rounds does differ.
ROUNDS = 3


@dataclass(frozen=True)
class Verdict:
    """What was found: `compared` entries on the laptop, and every path that differs."""

    compared: int
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """The differences that ought not to be."""
        return tuple(one for one in self.differences if not one.why)


async def compare(paths: Paths, record: Record) -> Verdict:
    """Compare both ends. Raises ConnectionLost when they are not connected."""
    matcher = Matcher(await session.rules(paths, record.name))
    found: Verdict | None = None
    async with gate_reached(paths, record.name) as connection:
        for _ in range(ROUNDS):
            state = await _at_rest(paths, record.name)
            now = await _compared(Path(record.workspace), connection, matcher)
            found = _still(found, replace(now, differences=tuple(_explained(now.differences, state))))
            if not found.unexplained:
                break
    assert found is not None
    return found


async def _at_rest(paths: Paths, name: str) -> SyncState:
    """With nothing under way, where the sync runs: a paused one can be compared too."""
    state = await session.state(paths, name)
    return state if state.paused or state.halted else await session.flush(paths, name)


async def _compared(workspace: Path, connection: Connection, matcher: Matcher) -> Verdict:
    laptop: dict[str, Facts] = {}
    pod: dict[str, Facts] = {}

    async def here() -> None:
        laptop.update(await anyio.to_thread.run_sync(local_tree, workspace, matcher))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here)
        pod.update(travelling(await _listed(connection), matcher))
    return Verdict(len(laptop), differences(laptop, pod))


async def _listed(connection: Connection) -> list[tuple[str, Facts]]:
    async with aclosing(Workspace(connection).tree(hashes=True)) as found:
        return [(e.path, Facts(e.kind, e.executable, e.hash, e.target)) async for e in found]


def _explained(found: Iterable[Difference], state: SyncState) -> Iterable[Difference]:
    conflicts = [one.path for one in state.conflicts]
    problems = [one.path for one in state.problems]
    held = [one.path for one in state.held]
    for one in found:
        why = "held by the guard" if path_is_held(one.path) or _within(one.path, held) else ""
        why = "in conflict" if _within(one.path, conflicts) else why
        yield replace(one, why=why or ("it cannot be synced" if _within(one.path, problems) else ""))


def _within(path: str, roots: Iterable[str]) -> bool:
    return any(root in ("", path) or path.startswith(root + "/") for root in roots)


def _still(before: Verdict | None, now: Verdict) -> Verdict:
    if before is None:
        return now
    known = {one.path for one in before.differences}
    return replace(now, differences=tuple(one for one in now.differences if one.path in known))
