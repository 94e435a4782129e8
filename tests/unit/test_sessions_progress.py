"""Following a start that another command runs."""

from __future__ import annotations

import threading
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from paude.sessions import progress, records
from paude.settings import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))
    made.session("x").mkdir(parents=True)
    progress.file_of(made, "x").write_text("connect: started\nconnect: rea")
    return made


async def test_the_lines_that_are_whole_are_told_and_nobody_is_waited_for(paths: Paths) -> None:
    assert [line async for line in progress.follow(paths, "x")] == ["connect: started"]


def test_who_leaves_while_the_start_goes_on_leaves_nothing_that_waits(paths: Paths) -> None:
    async def first() -> str:
        async with aclosing(progress.follow(paths, "x")) as lines:
            return await anext(lines)

    with records.locked(paths, "x"):
        assert anyio.run(first) == "connect: started"
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(5)  # the program would not end before it has
        assert threading.active_count() == 1
