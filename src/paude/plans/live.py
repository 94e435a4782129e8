"""While sessions run: what their agents commit comes home at once, and their sync is woken when the way is back.

Runs in the supervisor, for as long as the sync daemon. What comes from the agent's container is a hint that branches
may have moved, and no more: however often it comes, commits are looked for at a bounded rate.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from paude.errors import ConnectionLost, PaudeError
from paude.plans.owner import elsewhere
from paude.plans.reach import gate_status
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.openssh import SshProgram
from paude.ssh.ssh_config import agent_alias
from paude.sync import history, publish, session
from paude.sync.advance import Advance, advance, awaits
from paude.sync.git import is_repository
from paude.sync.state import SyncState
from paude.tunnel.backoff import Backoff

WATCH = "exec /opt/paude/bin/paude-pod watch-refs"
# Looking for commits costs a connection: after one that found nothing the next waits longer.
FIRST_PAUSE_S = 0.3
LAST_PAUSE_S = 15.0
ONE_TRY_S = 90.0
_DOWN = ("disconnected", "connecting-beta")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """Every session of this machine that syncs; `backoff` makes what each waits by while its pod is not reached."""

    paths: Paths
    backoff: Callable[[], Backoff] = Backoff
    _followed: dict[str, _Session] = field(default_factory=dict, init=False)

    def look(self, name: str) -> None:
        """The way to the session's pod is good again: what waits for it is tried now."""
        if name in self._followed:
            self._followed[name].look()

    async def run(self, hurry: Callable[[], None] = lambda: None) -> None:
        """Follow the sessions as they come and go, until the daemon ends; `hurry` ends its pauses before a next try."""
        followed = self._followed
        followed.clear()
        async with anyio.create_task_group() as tasks, aclosing(session.watch_all(self.paths)) as changes:
            async for states in changes:
                running = {state.name: state for state in states if not state.paused}
                for name in followed.keys() - running.keys():
                    followed.pop(name).scope.cancel()
                for name, state in running.items():
                    if name not in followed:
                        followed[name] = _Session(self, name, tasks, hurry)
                    followed[name].told(state)
            tasks.cancel_scope.cancel()


class _Session:
    """One session that is followed."""

    def __init__(self, live: Live, name: str, tasks: TaskGroup, hurry: Callable[[], None]) -> None:
        self._live, self._name, self._hurry = live, name, hurry
        self.scope = anyio.CancelScope()
        self._met = anyio.Event()
        self._moved = anyio.Event()
        self._cut = anyio.Event()
        self._listening, self._waking = live.backoff(), live.backoff()
        self._status = ""
        tasks.start_soon(self._run)

    def told(self, state: SyncState) -> None:
        """The sync stands so."""
        was_down, self._status = self._down, state.status
        if state.cycles or state.halted or state.last_error:
            self._met.set()
        if self._down and not was_down:
            self._cut.set()
            self._waking.hurry()  # it may still wait after an earlier cut, and what it waited for has come since

    def look(self) -> None:
        """Its pod is reached again."""
        self._listening.hurry()
        self._waking.hurry()
        if self._down:
            self._hurry()

    @property
    def _down(self) -> bool:
        return self._status in _DOWN

    async def _run(self) -> None:
        with self.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen)
                tasks.start_soon(self._bring_home)
                tasks.start_soon(self._send_out)
                tasks.start_soon(self._wake)

    # --- commits

    async def _listen(self) -> None:
        agent = SshProgram(self._live.paths, agent_alias(self._name))
        heard = 0.0

        def hint(line: str) -> None:
            nonlocal heard
            heard = heard or anyio.current_time()
            self._moved.set()

        # Before both ends have met there is a start under way, whose agent does not run yet.
        await self._met.wait()
        while True:
            heard = 0.0
            with suppress(PaudeError, OSError):
                await agent.follow(WATCH, hint)
            if heard:
                self._listening.worked(anyio.current_time() - heard)
            await self._listening.wait()

    async def _bring_home(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            await self._moved.wait()
            self._moved = anyio.Event()
            try:
                with anyio.fail_after(ONE_TRY_S):
                    brought = await bring_home(self._live.paths, self._name)
            except (PaudeError, OSError, TimeoutError) as error:
                _log.warning("%s: the agent's commits could not be fetched: %s", self._name, error)
                brought = False
            pause = FIRST_PAUSE_S if brought else min(2 * pause, LAST_PAUSE_S)
            await anyio.sleep(pause)

    async def _send_out(self) -> None:
        """The developer's commits to the agent. What cannot be sent now is sent with the next one."""
        record = records.load(self._live.paths, self._name)
        if not isinstance(record, Record):
            return
        workspace, backoff = Path(record.workspace), Backoff(last=LAST_PAUSE_S)
        while True:
            try:
                if not await is_repository(workspace):
                    return
                await self._send_each(workspace, backoff)
            except (PaudeError, OSError) as error:
                _log.warning("%s: branches here cannot be watched: %s", self._name, error)
            await backoff.wait()

    async def _send_each(self, workspace: Path, backoff: Backoff) -> None:
        async with aclosing(publish.moves(workspace)) as moves:
            async for _ in moves:
                backoff.reset()
                await anyio.sleep(FIRST_PAUSE_S)
                with suppress(TimeoutError), anyio.fail_after(ONE_TRY_S):
                    await self._send(workspace)

    async def _send(self, workspace: Path) -> None:
        try:
            why = await send_out(self._live.paths, self._name, workspace)
        except (PaudeError, OSError) as error:
            why = str(error)
        if why:
            _log.info("%s: the developer's commits wait under %s there: %s", self._name, publish.INCOMING, why)

    # --- the sync

    async def _wake(self) -> None:
        while True:
            await self._cut.wait()
            self._cut = anyio.Event()
            while self._down:
                # One that has only just been cut connects by itself; after a second failure it would wait for 15 s.
                await self._waking.wait()
                with suppress(PaudeError, OSError):
                    await self._wake_once()

    async def _wake_once(self) -> None:
        """A gate that answers is a reason to connect now, or to stop: it lets in the laptop that owns the sync."""
        paths, name = self._live.paths, self._name
        if not self._down:
            return
        if why := await self._taken_over():
            _log.warning("%s: %s", name, why)
            await session.taken_over(paths, name, why)
        elif self._status == "disconnected":
            _log.info("%s: the way is back, the sync is woken", name)
            await session.resume(paths, name)
        else:
            self._hurry()

    async def _taken_over(self) -> str:
        """Which other laptop owns the sync, if one does. A gate that cannot say still refuses all others."""
        try:
            return elsewhere(await gate_status(self._live.paths, self._name), self._live.paths)
        except ConnectionLost:
            raise
        except PaudeError as error:
            _log.warning("%s: the gate does not say whose the sync is: %s", self._name, error)
            return ""


async def bring_home(paths: Paths, name: str) -> bool:
    """Fetch what the agent committed and move the branch forward where that is safe; whether anything was new.

    What became of the branch is noted for `paude sync status`. Raises as `history.fetch`.
    """
    record = records.load(paths, name)
    if not isinstance(record, Record):
        return False
    workspace = Path(record.workspace)
    fetched = await history.fetch(workspace, name, paths)
    if await awaits(workspace, name):
        state = await session.flush(paths, name)
        found = await _advanced(workspace, name, state)
        await anyio.to_thread.run_sync(_note, paths, name, found)
    return bool(fetched)


async def send_out(paths: Paths, name: str, workspace: Path) -> str:
    """Push what was committed here and move the agent's branch where that is safe; returns why it stays, if it does.

    What the agent has committed meanwhile comes first: with commits on both sides the developer decides, here.
    """
    if not await publish.ahead(workspace, name):
        return ""
    await history.fetch(workspace, name, paths)
    branch = await publish.ahead(workspace, name)
    if not branch or not (await history.branches(workspace, name)):
        return ""
    commit = await publish.push(workspace, name, paths, branch)
    state = await session.flush(paths, name)
    if not state.healthy:
        return "the files are not in step"
    return await publish.forward(name, paths, branch, commit)


async def _advanced(workspace: Path, name: str, state: SyncState) -> Advance:
    if not state.healthy:
        return Advance("", moved=False, why="the files are not in step: `paude sync status`")
    return await advance(workspace, name, missing=tuple(one.path for one in state.held))


def _note(paths: Paths, name: str, found: Advance) -> None:
    if found.moved or found.why:
        # Not a warning: it is a state that the user ends, and `paude sync status` tells it.
        _log.info("%s: %s %s", name, found.branch, found.why or f"was moved forward to {found.new[:12]}")
        with suppress(OSError):
            (paths.session(name) / "history.json").write_text(json.dumps(asdict(found)))


def waiting(paths: Paths, name: str) -> str:
    """Why the agent's last commits are not on the branch here, as one sentence; else empty."""
    try:
        found = Advance(**json.loads((paths.session(name) / "history.json").read_text()))
    except (OSError, ValueError, TypeError):
        return ""
    if found.moved or not found.why:
        return ""
    return f"the agent's commits wait under {history.prefix(name)}/: {found.why}"
