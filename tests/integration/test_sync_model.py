"""No content that a user wrote and nobody deleted is ever lost, whatever both sides and the network do."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from paude.errors import PaudeError
from paude.sync import daemon, session
from paude.sync.daemon import Daemon
from paude.sync.guard import path_is_held
from sync_model import ANCHORS, Ledger, User, contents, shape
from sync_peer import NAME, Peer, peer

ROUND = 12


class Game:
    """Two users, a sync between them, and bad luck."""

    def __init__(self, both: Peer, directory: Path, seed: int) -> None:
        self.both, self.rng, self.ledger = both, random.Random(seed), Ledger(directory / "graveyard")
        self.graveyard = self.ledger.graveyard
        self.graveyard.mkdir()
        self.users = [User(root, self.graveyard, self.ledger, self.rng) for root in (both.laptop, both.pod)]
        self.daemon: Daemon | None = None
        self.up = anyio.Event()
        self.log: list[str] = []
        self.conflicts = 0

    async def keep_daemon(self) -> None:
        while True:
            async with daemon.daemon(self.both.paths) as self.daemon:
                self.up.set()
                await self.daemon.ended()
                self.up = anyio.Event()

    async def play(self, operations: int, each: int = ROUND) -> None:
        for done in range(0, operations, each):
            for _ in range(each):
                user = self.rng.choice(self.users)
                self.log.append(f"{user.root.name}: {user.act()}")
                await anyio.sleep(self.rng.choice((0, 0, 0.005, 0.05)))
            if self.rng.random() < 0.3:
                await self.rng.choice((self.cut, self.kill_daemon, self.apart))()
            await self.settle(f"after {done + each} operations")

    # --- bad luck

    async def cut(self) -> None:
        self.log.append("cut")
        self.both.server.cut()

    async def kill_daemon(self) -> None:
        self.log.append("daemon killed")
        assert self.daemon is not None
        os.kill(self.daemon.pid, signal.SIGKILL)
        await self.daemon.ended()

    async def apart(self) -> None:
        """Both go on while they are not in step: this makes the conflicts."""
        self.log.append("apart")
        await session.pause(self.both.paths, NAME)
        for _ in range(ROUND):
            user = self.rng.choice(self.users)
            self.log.append(f"apart, {user.root.name}: {user.act()}")
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
        await self.up.wait()
        with anyio.fail_after(60):
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
        with anyio.fail_after(120):
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
@pytest.mark.parametrize("seed", [int(s) for s in os.environ.get("PAUDE_MODEL_SEEDS", "11,12,13,14").split(",")])
async def test_no_content_is_lost_in_the_long_run(tmp_path: Path, seed: int) -> None:
    async with game(tmp_path, seed) as one:
        await one.play(int(os.environ.get("PAUDE_MODEL_OPERATIONS", "2500")), each=48)
