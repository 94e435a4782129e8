"""No content that a user wrote and nobody deleted is ever lost, whatever both sides and the network do."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

import sync_keeper
from paude.errors import PaudeError
from paude.process import started
from paude.sync import session
from paude.sync.guard import path_is_held
from ssh_server import descendants
from sync_model import ANCHORS, Ledger, User, contents, shape
from sync_peer import NAME, Peer, peer

ROUND = 12
# Nothing hangs: a limit, and no expectation. The machine may have others to serve.
STUCK_S = 180
TOLD = "PAUDE_MODEL_OPERATIONS" in os.environ


class Game:
    """Two users, a sync between them, and bad luck."""

    def __init__(self, both: Peer, directory: Path, seed: int) -> None:
        self.both, self.rng, self.ledger = both, random.Random(seed), Ledger(directory / "graveyard")
        self.graveyard = self.ledger.graveyard
        self.graveyard.mkdir()
        self.users = [User(root, self.graveyard, self.ledger, self.rng) for root in (both.laptop, both.pod)]
        self.keeper: Process | None = None
        self.daemon = 0
        self.up = anyio.Event()
        self.log: list[str] = []
        self.conflicts = 0
        self.luck: Counter[str] = Counter()
        self.deck: list[Callable[[], Awaitable[None]]] = []

    async def keep_daemon(self) -> None:
        places = (self.both.paths.state, self.both.paths.runtime, self.both.paths.config, self.both.paths.cache)
        try:
            while True:
                async with started([sys.executable, sync_keeper.__file__, *places], stderr=None) as self.keeper:
                    assert self.keeper.stdout is not None
                    told = ""
                    async for text in TextReceiveStream(self.keeper.stdout):
                        told += text
                        if told.endswith("\n"):
                            self.daemon = int(told)
                            self.up.set()
                    await self.keeper.wait()
                    self.up = anyio.Event()
        finally:
            kill([self.daemon])  # where its keeper was killed last

    async def play(self, operations: int, each: int = ROUND) -> None:
        """At least so many operations that changed something, `each` between two looks whether all is well."""
        while self.done < operations:
            bad = self.deal() if self.rng.random() < 0.9 else None
            moment = self.rng.randrange(each)
            for number in range(each):
                self.one()
                await anyio.sleep(self.rng.choice((0, 0, 0.005, 0.05)))
                if bad is not None and number == moment:
                    self.log.append(f"! {bad.__name__}")
                    self.luck[bad.__name__] += 1
                    await bad()
            await self.settle(f"after {self.done} operations")
            if TOLD:
                print(f"{self.done} operations, {self.conflicts} conflicts, {dict(self.luck)}", flush=True)  # noqa: T201

    @property
    def done(self) -> int:
        """The operations of both users that changed something."""
        return sum(user.done for user in self.users)

    def one(self, user: User | None = None) -> None:
        user = user or self.rng.choice(self.users)
        self.log.append(f"{user.root.name}: {user.act()}")

    # --- bad luck

    def deal(self) -> Callable[[], Awaitable[None]]:
        """One kind after the other, in an order that changes."""
        if not self.deck:
            self.deck = self.rng.sample(self.kinds_of_luck, len(self.kinds_of_luck))
        return self.deck.pop()

    @property
    def kinds_of_luck(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return (
            self.cut,
            self.silent_loss,
            self.kill_daemon,
            self.kill_supervisor,
            self.kill_sync_agent,
            self.kill_gate,
            self.kill_pod,
            self.apart,
        )

    async def cut(self) -> None:
        self.both.server.cut()

    async def silent_loss(self) -> None:
        """The laptop's ends die, and the pod's do not notice until long after new ones came."""
        before = self.both.server.connections()
        signal_all(named(before, "sshd"), signal.SIGSTOP)
        kill(named(descendants(self.daemon), "ssh"))
        await self.together("with the old connections still there")
        for _ in range(ROUND):
            self.one()
        signal_all(before, signal.SIGCONT)

    async def kill_daemon(self) -> None:
        await self.up.wait()
        assert self.keeper is not None
        kill([self.daemon])
        await self.keeper.wait()

    async def kill_supervisor(self) -> None:
        """Its tunnels end with it, and the daemon, a moment later."""
        await self.up.wait()
        assert self.keeper is not None
        self.keeper.kill()
        self.both.server.cut()
        await self.keeper.wait()

    async def kill_sync_agent(self) -> None:
        """It takes too much memory."""
        kill(named(self.both.server.connections(), "mutagen-agent"))

    async def kill_gate(self) -> None:
        """All that runs in it; it is started again at once."""
        self.both.server.kill()
        self.both.server.start()

    async def kill_pod(self) -> None:
        """Nothing happens in it until it runs again on the same volume; here work goes on."""
        self.both.server.kill()
        for _ in range(ROUND):
            self.one(self.users[0])
        self.both.server.start()

    async def apart(self) -> None:
        """Both go on while they are not in step: this makes the conflicts."""
        await session.pause(self.both.paths, NAME)
        for _ in range(ROUND):
            self.one()
        await session.resume(self.both.paths, NAME)

    # --- the oracle

    async def settle(self, when: str) -> None:
        """Bring both sides together, judge, then end the conflicts as a user would, and judge again."""
        await self.together(when)
        for _ in range(20):
            conflicts = (await session.flush(self.both.paths, NAME)).conflicts
            if not conflicts:
                break
            for one in conflicts:
                loser = self.rng.choice(self.users)
                self.log.append(f"conflict at {one.path!r}: {loser.root.name} gives way")
                with suppress(FileNotFoundError):  # it deleted it
                    loser.bury(loser.root / one.path)
                self.conflicts += 1
            await self.together(when)
        here, there = (shape_without_held(root) for root in (self.both.laptop, self.both.pod))
        differing = {path for path in {*here, *there} if here.get(path) != there.get(path)}
        # A directory of the pod with something held in it cannot make way for what the laptop has there: that is told.
        kept = {path for path in differing if holds(self.both.pod, path)}
        assert differing == kept, self.told(f"the sides differ {when}: {set(here.items()) ^ set(there.items())}")
        if kept:
            state = await session.state(self.both.paths, NAME)
            told = [one.path for one in state.problems]
            assert all(any(f"{p}/".startswith(f"{path}/") for p in told) for path in kept), self.told(
                f"{kept} is not told {when}: {state}"
            )
            for path in kept:
                self.users[1].bury(self.both.pod / path)
            await self.together(when)

    async def together(self, when: str) -> None:
        with anyio.fail_after(STUCK_S):
            await self.up.wait()
            while True:
                try:
                    await session.resume(self.both.paths, NAME)
                    state = await session.first_cycle(self.both.paths, NAME)
                    state = await session.flush(self.both.paths, NAME)
                    if not state.brakes:
                        break
                    self.log.append("deletions allowed")
                    await session.allow_deletions(self.both.paths, NAME)
                except PaudeError:
                    await anyio.sleep(0.1)  # it is being connected again
        assert not state.halted, self.told(f"halted {when}")
        lost = self.ledger.lost(self.both.laptop, self.both.pod)
        assert not lost, self.told(f"lost {when}: {[(c[:60], how) for c, how in lost.items()]}")
        foreign = self.ledger.foreign(self.both.laptop, self.both.pod)
        assert not foreign, self.told(f"nobody wrote {when}: {foreign}")
        came = [path for path in contents(self.both.laptop) if path_is_held(path)]
        assert not came, self.told(f"held paths came out: {came}")

    def told(self, what: str) -> str:
        return "\n".join([what, *self.log[-80:]])


def named(pids: Iterable[int], name: str) -> list[int]:
    """Those of the processes that run the program of that name."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/exe").readlink().name == name:
                found.append(pid)
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(pids: Iterable[int]) -> None:
    signal_all(filter(None, pids), signal.SIGKILL)


def shape_without_held(root: Path) -> dict[str, object]:
    return {path: facts for path, facts in shape(root).items() if not path_is_held(path)}


def holds(pod: Path, path: str) -> bool:
    """Whether something held lies in that directory of the pod."""
    return any(path_is_held(str(below.relative_to(pod))) for below in (pod / path).rglob("*"))


@asynccontextmanager
async def game(directory: Path, seed: int) -> AsyncIterator[Game]:
    with peer(directory) as both:
        for root in (both.laptop, both.pod):
            for name in ANCHORS:
                (root / name).write_text("x")
        one = Game(both, directory, seed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.keep_daemon)
            await one.up.wait()
            await both.create()
            yield one
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_content_is_lost_whatever_both_sides_do(tmp_path: Path, seed: int) -> None:
    async with game(tmp_path, seed) as one:
        await one.play(96)
        assert len(one.ledger.written) > 30
        assert one.conflicts, "a game without a conflict shows little"
        # The oracle's control: what somebody else takes away is missed, and what nobody wrote is seen.
        victim = next(iter(contents(one.both.laptop)))
        for root in (one.both.laptop, one.both.pod):
            (root / victim).write_bytes(b"torn")
        assert one.ledger.lost(one.both.laptop, one.both.pod)
        assert one.ledger.foreign(one.both.laptop)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [int(s) for s in os.environ.get("PAUDE_MODEL_SEEDS", "11,12").split(",")])
async def test_no_content_is_lost_in_the_long_run(tmp_path: Path, seed: int) -> None:
    async with game(tmp_path, seed) as one:
        together = int(os.environ.get("PAUDE_MODEL_TOGETHER", "48"))
        await one.play(int(os.environ.get("PAUDE_MODEL_OPERATIONS", "10000")), each=together)
        assert one.luck.keys() == {kind.__name__ for kind in one.kinds_of_luck}
        by = [user.done for user in one.users]
        print(f"seed {seed}: {one.done} operations {by}, {one.conflicts} conflicts, {dict(one.luck)}")  # noqa: T201
