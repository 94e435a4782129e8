"""What the supervisor does for a session while it runs, with the real sync between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from paude import artifacts
from paude.plans.live import Live
from paude.sessions import records
from paude.sessions.records import Record
from paude.sync import daemon
from paude.tunnel.backoff import Backoff
from sync_peer import NAME, eventually, peer, reads, synced


async def test_a_sync_that_was_cut_twice_does_not_sleep_for_fifteen_seconds(tmp_path: Path) -> None:
    async with synced(tmp_path) as both, anyio.create_task_group() as tasks:
        tasks.start_soon(Live(both.paths).run)
        await both.create()
        for number in range(3):
            both.server.cut()
            await both.state(lambda s: not s.connected)
            (both.pod / f"f{number}").write_text("while it was cut")
            took = await eventually(reads(both.laptop / f"f{number}", "while it was cut"), within=9)
            print(f"in step again {took:.1f} s after the cut")  # noqa: T201
        tasks.cancel_scope.cancel()


def months() -> Backoff:
    """Waits that end only when somebody says that the way is good again."""
    return Backoff(last=1e9, first=0.05, quick=-40)


async def test_however_often_it_was_cut_a_terminal_that_is_live_again_wakes_the_sync(tmp_path: Path) -> None:
    async with synced(tmp_path) as both, anyio.create_task_group() as tasks:
        live = Live(both.paths, months)
        tasks.start_soon(live.run)
        await both.create()
        for number in range(5):
            both.server.cut()
            await both.state(lambda s: not s.connected)
            (both.pod / f"f{number}").write_text("while it was cut")
            await eventually(_told_until(live, reads(both.laptop / f"f{number}", "while it was cut")), within=9)
        tasks.cancel_scope.cancel()


def _told_until(live: Live, travelled: Callable[[], bool]) -> Callable[[], bool]:
    def check() -> bool:
        live.look(NAME)  # a supervisor hears of it in its own time: before or after it knows of the cut
        return travelled()

    return check


async def test_who_connects_again_is_hurried_when_the_way_is_good(tmp_path: Path) -> None:
    with peer(tmp_path) as both:
        async with anyio.create_task_group() as tasks, daemon.daemon(both.paths) as running:
            hurried = 0

            def hurry() -> None:
                nonlocal hurried
                hurried += 1
                running.hurry()

            def cut() -> bool:
                both.server.cut()
                live.look(NAME)
                return hurried > 2

            live = Live(both.paths, months)
            tasks.start_soon(live.run, hurry)
            await both.create()
            await eventually(cut)
            (both.pod / "f").write_text("after that")
            await eventually(_told_until(live, reads(both.laptop / "f", "after that")), within=9)
            tasks.cancel_scope.cancel()


async def test_a_git_that_fails_here_ends_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync is woken all the same, and commits are sent once git works again."""
    broken = tmp_path / "bin" / "git"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho /nowhere\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    async with synced(tmp_path) as both, anyio.create_task_group() as tasks:
        records.save(both.paths, Record(NAME, "0" * 16, "podman", str(both.laptop), "shell", records.now()))
        tasks.start_soon(Live(both.paths).run)
        await both.create()
        asked = tmp_path / "asked"
        await eventually(lambda: asked.exists() and len(asked.read_text().split()) > 2)
        both.server.cut()
        await both.state(lambda s: not s.connected)
        (both.pod / "f").write_text("while it was cut")
        await eventually(reads(both.laptop / "f", "while it was cut"), within=9)
        tasks.cancel_scope.cancel()


async def test_commits_are_listened_for_once_both_ends_have_met(tmp_path: Path) -> None:
    """Before that the agent whose start is under way does not run: to ask it would be in vain."""
    waiting, agent = tmp_path / "waiting", tmp_path / "held"
    os.mkfifo(waiting)
    machine = daemon.binary().parent.name
    agent.write_text(f'#!/bin/sh\nread go < {waiting}\nexec {artifacts.path(f"bin/{machine}/mutagen-agent")} "$@"\n')
    agent.chmod(0o700)
    with waiting.open("r+b", buffering=0) as go:  # open to the end: an agent that never reads would never end
        async with synced(tmp_path, agent) as both, anyio.create_task_group() as tasks:
            live = Live(both.paths)
            tasks.start_soon(live.run)
            tasks.start_soon(both.create)

            def followed() -> bool:
                live.look(NAME)
                return both.asked("status") > 2  # beside what listens, and later

            await eventually(followed, within=20)
            assert both.asked("mutagen-agent")
            assert not both.asked("watch-refs")
            go.write(b"\n" * 99)  # for each agent that is started
            await eventually(lambda: both.asked("watch-refs") > 0)
            tasks.cancel_scope.cancel()
