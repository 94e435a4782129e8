"""The daemon fed by a watcher beside it, as on a Mac: the same program, which works here too."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from test_sync_session import SOON_S
from test_sync_watch import FEW_WATCHES, watching

from paude.sync import daemon, session
from ssh_server import descendants
from sync_peer import NAME, Peer, eventually, peer, reads

PROGRAM = "paude.sync.watcher"


@asynccontextmanager
async def fed(directory: Path) -> AsyncIterator[tuple[Peer, daemon.Daemon]]:
    with anyio.fail_after(60), peer(directory) as both:
        async with daemon.daemon(both.paths, fed=True) as running:
            yield both, running


async def test_changes_on_both_sides_arrive_at_once(tmp_path: Path) -> None:
    async with fed(tmp_path) as (both, _):
        (both.laptop / "d").mkdir()
        (both.laptop / "d" / "f").write_text("old")
        assert (await both.create()).local_watch == "watching"
        for here, there in ((both.laptop, both.pod), (both.pod, both.laptop)):
            await session.flush(both.paths, NAME)
            (here / "d" / "f").write_text(here.name)
            await eventually(reads(there / "d" / "f", here.name), within=SOON_S)
        deep = both.laptop / "new dir" / "ü"
        deep.mkdir(parents=True)
        (deep / "a\nb").write_text("x")
        await eventually(reads(both.pod / "new dir" / "ü" / "a\nb", "x"), within=SOON_S)


async def test_a_watcher_that_is_killed_is_started_again_and_nothing_is_missed(tmp_path: Path) -> None:
    async with fed(tmp_path) as (both, running):
        await both.create()
        (watcher,) = (one for one in descendants(running.pid) if PROGRAM in command(one))
        os.kill(watcher, signal.SIGKILL)
        (both.laptop / "f").write_text("while nobody watched")
        await eventually(reads(both.pod / "f", "while nobody watched"))
        await both.state(lambda s: s.local_watch == "watching")


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


async def test_it_prints_which_of_few_paths_changed_and_ends_with_its_input(tmp_path: Path) -> None:
    async with watching(tmp_path, sys.executable, "-m", PROGRAM, stdin=True) as (child, lines):
        assert await lines.receive() == "watching\n"
        (tmp_path / "a b").write_text("x")
        assert await lines.receive() == "changed a b\n"
        assert child.stdin is not None
        await child.stdin.aclose()
        assert await child.wait() == 0


async def test_more_directories_than_watches_are_polled_and_it_says_so(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"d{number}").mkdir()
    async with watching(tmp_path, *FEW_WATCHES, sys.executable, "-m", PROGRAM, stdin=True) as (_, lines):
        assert await lines.receive() == "polling\n"
