"""The steps of `paude stop` on the developer's machine: commits and files come home before anything is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from paude import report
from paude.backends.base import Reachable
from paude.errors import NameTaken, PaudeError
from paude.gate.client import Gate
from paude.gate.connect import gate_of
from paude.gate.heads import heads
from paude.gate.workspace import Workspace
from paude.plans.owner import refuse_elsewhere
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh import ssh_config
from paude.supervisor import client as supervisor
from paude.sync import history, session
from paude.sync.advance import advance
from paude.sync.shown import visible
from paude.sync.state import Flagged, SyncState

FLUSH_S = 120.0
LISTED = 10


def _some(flagged: tuple[Flagged, ...]) -> str:
    shown = ", ".join(visible(one.path) for one in flagged[:LISTED])
    return shown + (" …" if len(flagged) > LISTED else "")


@dataclass(frozen=True)
class Losses:
    """What would be lost with the volume, one sentence each; empty when everything is home."""

    sentences: tuple[str, ...] = ()


def in_the_way(state: SyncState) -> Losses:
    """What of the files did not come home; their names are the agent's."""
    conflicts = (f"a conflict at {visible(conflict.path)}" for conflict in state.conflicts)
    held = (f"{visible(one.path)} was held by the guard" for one in state.held)
    stopped = (f"the sync has stopped: {brake}" for brake in state.brakes)
    waits = (f"the sync waits: {state.fence}",) if state.fence else ()
    return Losses((*conflicts, *held, *stopped, *waits))


@dataclass(frozen=True)
class Homecoming:
    """This end of a stop."""

    record: Record
    paths: Paths

    async def fetch_history(self, pod: Reachable | None) -> Losses:
        """Fetch the agent's commits into refs/paude/NAME/."""
        if pod is None:
            return Losses()
        try:
            fetched = await history.fetch(Path(self.record.workspace), self.record.name, self.paths)
        except PaudeError as error:
            return await self._judge_unfetched(pod, error)
        for one in fetched:
            report.line(f"{one.ref} is at {one.commit[:12]}")
        return Losses()

    async def _judge_unfetched(self, pod: Reachable, why: PaudeError) -> Losses:
        """A parked agent's git cannot be asked; what its branches point to may be here already."""
        try:
            async with gate_of(pod, self.record.name, self.paths) as connection:
                commits = await heads(Workspace(connection))
        except PaudeError:
            return Losses((f"the agent's commits could not be fetched: {why}",))
        absent = await history.missing(Path(self.record.workspace), sorted(commits))
        if not absent:
            return Losses()
        report.line("`paude start` releases the agent, and brings its commits home")
        return Losses((f"commits of the agent could not be fetched, {absent[0][:12]} among them: {why}",))

    async def park_agent(self, pod: Reachable | None) -> None:
        """End the agent, so that nothing changes any more; the gate goes on.

        Raises NameTaken when another laptop keeps the files in step: they could not be brought home here.
        """
        if pod is None:
            return
        try:
            async with gate_of(pod, self.record.name, self.paths) as connection:
                gate = Gate(connection)
                refuse_elsewhere(await gate.status(), self.record.name, self.paths)
                await gate.park("stopped by its owner")
        except NameTaken:
            raise
        except PaudeError as error:
            report.line(f"the agent could not be parked: {error}")

    async def flush_sync(self, pod: Reachable | None) -> Losses:
        """Bring the last changes over, and read what stands in the way."""
        name = self.record.name
        if pod is None:
            return Losses((f"the pod of {name} does not run, so its last changes cannot be brought over",))
        try:
            with anyio.fail_after(FLUSH_S):
                state = await supervisor.supervised(self.paths, self._flushed)
        except (PaudeError, TimeoutError) as error:
            return Losses((f"the last changes could not be brought over: {error or 'no connection'}",))
        if state.flagged:
            report.line(
                f"{len(state.flagged)} files came that tools here run when they are called: {_some(state.flagged)}"
            )
        return in_the_way(state)

    async def _flushed(self) -> SyncState:
        await session.resume(self.paths, self.record.name)  # at once, where it was about to try again later
        await session.first_cycle(self.paths, self.record.name)
        return await session.flush(self.paths, self.record.name)

    async def advance_branch(self, files: Losses) -> None:
        """Move the developer's branch forward to what the agent committed, where that is safe; else say why not."""
        if files.sentences:
            return
        try:
            found = await advance(Path(self.record.workspace), self.record.name)
        except PaudeError as error:
            report.line(f"your branch stays where it is: {error}")
            return
        if found.moved:
            report.line(f"{found.branch} was moved forward to what the agent committed, {found.new[:12]}")
        elif found.why and found.new:
            where = f"refs/paude/{self.record.name}/{found.branch}"
            report.line(f"the agent's commits are at {where}; {found.branch or 'HEAD'} stays: {found.why}")

    async def judge(self, commits: Losses, files: Losses) -> Losses:
        """Everything that would be lost."""
        return Losses((*commits.sentences, *files.sentences))

    async def pause_sync(self) -> None:
        """Keep the sync's memory of both sides for the next start."""
        if self.record.mounted or self.record.guest:
            return
        await supervisor.supervised(self.paths, partial(session.pause, self.paths, self.record.name))

    async def end_sync(self) -> None:
        """End the live sync; both trees stay as they are. After a killed start nobody may run the daemon any more."""
        if self.record.mounted:
            return
        await supervisor.supervised(self.paths, partial(session.terminate, self.paths, self.record.name))

    async def forget(self) -> None:
        """Remove what this machine remembers of the session."""
        records.forget(self.paths, self.record.name)
        ssh_config.write(self.paths, records.names_of(self.paths))
        await supervisor.forget(self.paths, self.record.name)
