"""The steps of `paude start` on the developer's machine, and those that join both ends.

Each calls one package; which step waits for which is not decided here.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from paude import report
from paude.backends.base import Located, Reachable
from paude.errors import NotFound
from paude.gate.client import Gate
from paude.gate.connect import gate_of
from paude.images.reference import Pushed
from paude.plans.owner import refuse_elsewhere
from paude.sessions import records
from paude.sessions.machine import this_machine
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh import session_keys, ssh_config
from paude.ssh.session_keys import SessionKeys
from paude.supervisor import client as supervisor
from paude.sync import decided, estimate, history, seed, selection, session
from paude.sync.limits import Limits
from paude.sync.selection import Outgoing
from paude.sync.shown import visible

UNDO_S = 10
LISTED = 5


def _listed(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(visible(path) for path in paths[:LISTED]) + more


@dataclass(frozen=True)
class Content:
    """What the volume holds: a workspace that is `kept`, or none, and then this run fills it."""

    kept: bool


@dataclass(frozen=True)
class Laptop:
    """This end of a session: `record` is what will be remembered of it."""

    record: Record
    fresh: bool
    paths: Paths
    agreed: tuple[str, ...] | None = ()
    """What the user agreed to send beyond what the last start sent; None for anything."""
    agreed_bytes: int | None = 0
    """How much the user agreed to send; None for any amount."""
    limits: Limits = field(default_factory=Limits)
    only: tuple[str, ...] | None = None
    """The paths to which the sync is confined; None for those of the last start."""

    @property
    def name(self) -> str:
        """The session's name."""
        return self.record.name

    @property
    def _directory(self) -> Path:
        return self.paths.session(self.name)

    @property
    def _workspace(self) -> Path:
        return Path(self.record.workspace)

    @asynccontextmanager
    async def remember(self) -> AsyncIterator[None]:
        """Note a new session before anything of it is made: whoever comes after a killed start finds it by this."""
        try:
            if self.fresh:
                await anyio.to_thread.run_sync(records.save, self.paths, self.record)
            yield
        except BaseException:
            if self.fresh:
                records.forget(self.paths, self.name)
                ssh_config.write(self.paths, records.names_of(self.paths))
            raise

    async def make_keys(self) -> SessionKeys:
        """The ssh keys of both ends: made for this session, or those that it has."""
        return await anyio.to_thread.run_sync(self._keys)

    def _keys(self) -> SessionKeys:
        keys = session_keys.make(self._directory, self.name)
        session_keys.write_known_hosts(self._directory, self.name, keys)
        return keys

    async def choose_what_goes_out(self) -> Outgoing:
        """Which files travel, decided here and now. Raises UsageError for more than somebody agreed to."""
        chosen, more = await decided.decide(self.paths, self._workspace, self.only)
        decided.check(more, self.agreed)
        if self.fresh or self.record.claimed:
            found = await estimate.estimate(self.paths, self._workspace, chosen, self.limits)
            report.line(f"to send: {found}")
            estimate.check(found, self.limits, self.agreed_bytes)
            await self._tell_what_stays(chosen)
        await anyio.to_thread.run_sync(decided.save, self.paths, self._workspace, chosen)
        return chosen

    async def _tell_what_stays(self, chosen: Outgoing) -> None:
        """What looks secret, each time; directories of dependencies and builds the first time."""
        if chosen.held_back:
            report.line(f"stays here, because it looks secret: {_listed(chosen.held_back)}")
        if decided.load(self.paths, self._workspace) is None:
            left = await anyio.to_thread.run_sync(selection.left_by_default, self._workspace)
            if left:
                report.line(f"stays here, because it can be made again: {_listed(left)} (.paudeignore can release it)")

    async def pack_history(self) -> Path | None:
        """The workspace's git history as one file; of a part of a workspace there is none."""
        if await anyio.to_thread.run_sync(self._confined):
            report.line("the agent gets no git history: a commit of a part would delete the rest")
            return None
        return await history.pack(self._workspace, self._directory, limit=self.limits.history_bytes)

    def _confined(self) -> bool:
        before = decided.load(self.paths, self._workspace)
        return bool(self.only or (self.only is None and before is not None and before.only))

    async def write_record(self, place: Located) -> Record:
        """Note where the session will be, before it takes its name there."""
        where = place.location
        record = replace(
            self.record,
            server=where.server,
            namespace=where.namespace,
            user=where.user,
            kubeconfig=tuple(where.kubeconfig),
        )
        await anyio.to_thread.run_sync(records.save, self.paths, record)
        ssh_config.write(self.paths, records.names_of(self.paths))
        return record

    async def start_supervisor(self) -> None:
        """The process that keeps tunnels and sync alive when this command has ended."""
        await supervisor.ensure(self.paths)

    @asynccontextmanager
    async def connect_gate(self, pod: Reachable, keys: SessionKeys) -> AsyncIterator[Gate]:
        """An ssh connection to the gate, which may have been running for a moment only."""
        # No limit of its own: a step beside this one watches the pod, and the command has a limit.
        async with gate_of(pod, self.name, self.paths, keys, within_s=math.inf) as connection:
            yield Gate(connection)

    async def announce_image(self, gate: Gate, image: Pushed) -> None:
        """Tell the gate that the agent's image can be pulled."""
        await gate.announce_image(image.reference)

    async def send_history(self, gate: Gate, bundle: Path | None) -> None:
        """Send the git history for the agent's own repository."""
        if bundle is not None:
            await gate.send_history(await anyio.Path(bundle).read_bytes())

    async def look_at_volume(self, gate: Gate) -> Content:
        """Whether the volume has been seeded. Raises NameTaken when another laptop keeps it in step.

        Unless this one took it over while the session was stopped: then the gate hears of that now.
        """
        status = await gate.status()
        if self.record.claimed:
            await gate.take_over(str(this_machine(self.paths)))
        else:
            refuse_elsewhere(status, self.name, self.paths)
        if status.seeded:
            report.line("the workspace in the pod is kept")
        return Content(kept=status.seeded)

    async def seed(self, gate: Gate, outgoing: Outgoing, content: Content) -> None:
        """The first content, as one stream, into a volume that has none."""
        if content.kept:
            return
        began = time.monotonic()
        rate = self.limits.bytes_per_second
        async with seed.tar_stream(self._workspace, outgoing, rate, self.paths) as stream:
            arrived = await gate.seed(stream)
        estimate.remember(self.paths, int(arrived.get("bytes", 0)), time.monotonic() - began)

    async def take_sync_over(self, gate: Gate) -> Content:
        """Make this laptop the one that keeps the workspace in step; another one's sync ends. Raises NotFound."""
        if not (await gate.status()).seeded:
            raise NotFound(f"{self.name} has no files yet", hint="wait until its start is done")
        await gate.take_over(str(this_machine(self.paths)))
        return Content(kept=True)

    @asynccontextmanager
    async def define_sync(self, outgoing: Outgoing) -> AsyncIterator[None]:
        """Live sync with its two ends and its rules; it does not connect yet."""
        try:
            await self._define_sync(outgoing, fresh=self.fresh)
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S):
                # What a session that was there before remembers of both sides would be missed: changes of one side
                # that the other has not seen yet would become conflicts.
                undo = session.terminate if self.fresh else session.pause
                await supervisor.supervised(self.paths, partial(undo, self.paths, self.name))
            raise

    async def _define_sync(self, outgoing: Outgoing, *, fresh: bool) -> None:
        ends = partial(session.define, self.paths, self.name, self._workspace, outgoing)
        await supervisor.supervised(self.paths, partial(ends, fresh=fresh, limits=self.limits))

    async def join_sync(self, outgoing: Outgoing, content: Content) -> None:
        """It connects, also while the first content is under way: the gate has it wait until that is there."""
        if not (content.kept or self.fresh):  # a volume that is new under a name that is not
            await self._define_sync(outgoing, fresh=True)
        await session.released(self.paths, self.name)
        await supervisor.supervised(self.paths, partial(session.resume, self.paths, self.name))

    async def first_sync(self) -> None:
        """It goes once around: from here on both sides are in step."""
        await supervisor.supervised(self.paths, partial(session.first_cycle, self.paths, self.name))

    async def mark_seeded(self, gate: Gate) -> None:
        """Write on the volume that it is complete, for restarts without the laptop."""
        await gate.mark_seeded()

    async def release_beside(self, gate: Gate, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The same, unless what `watch` watches ends first: without it the fence would wait for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await self.release_agent(gate)
            tasks.cancel_scope.cancel()

    async def release_agent(self, gate: Gate) -> None:
        """Let the agent run: the fence is clean, the tree is there. Returns when its terminal can be reached."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.await_agent)  # beside it, for each is round trips
            await gate.release()
