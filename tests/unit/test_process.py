"""Children, real ones: what is left of them when their block has ended."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio

from paude.process import KEEP_STDERR, run, started


def descriptors() -> set[str]:
    """The pipes that this process holds."""
    found = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return {os.readlink(one) for one in found if one.is_symlink() and os.readlink(one).startswith("pipe:")}


async def test_a_grandchild_that_lives_on_holds_no_pipe_of_ours() -> None:
    before = descriptors()
    async with started(["sh", "-c", "sleep 600 & echo $!"]) as child:
        assert child.stdout is not None
        grandchild = int(await child.stdout.receive())
        await child.wait()
    try:
        await anyio.wait_all_tasks_blocked()
        assert descriptors() <= before
    finally:
        os.kill(grandchild, signal.SIGKILL)


async def test_a_line_that_does_not_end_is_not_kept() -> None:
    told: list[str] = []
    await run([sys.executable, "-c", "print('x' * 1_000_000)"], on_stdout=told.append)
    assert len("".join(told)) <= 2 * KEEP_STDERR
