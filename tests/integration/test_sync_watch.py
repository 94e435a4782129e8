"""The daemon's watcher, alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from paude.process import started
from paude.sync import daemon

FEW_WATCHES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 10 > /proc/sys/user/max_inotify_watches && exec "$0" "$@"',
)


@asynccontextmanager
async def watching(root: Path, *program: str, stdin: bool = False) -> AsyncIterator[tuple[Process, TextReceiveStream]]:
    """A watcher of `root`, and what it prints."""
    with anyio.fail_after(20):
        async with started([*program, str(root)], stdin=stdin) as child:
            assert child.stdout is not None
            yield child, TextReceiveStream(child.stdout)


def own() -> tuple[str, str]:
    """The daemon's."""
    return str(daemon.binary()), "watch"


async def test_one_line_for_a_burst_of_changes(tmp_path: Path) -> None:
    async with watching(tmp_path, *own()) as (_, lines):
        seen = ""
        while "watching" not in seen:
            seen += await lines.receive()
        for number in range(100):
            (tmp_path / f"f{number}").write_text("x")
        assert await lines.receive() in ("changed\n", "changed\nchanged\n")


async def test_a_directory_that_moved_is_still_watched(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    async with watching(tmp_path, *own()) as (_, lines):
        seen = ""
        while "watching" not in seen:
            seen += await lines.receive()
        (tmp_path / "a").rename(tmp_path / "z")
        await lines.receive()
        (tmp_path / "z" / "b" / "f").write_text("x")
        assert "changed" in await lines.receive()


async def test_more_directories_than_watches_are_polled_and_it_says_so(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"d{number}").mkdir()
    async with watching(tmp_path, *FEW_WATCHES, *own()) as (_, lines):
        assert await lines.receive() == "polling\n"
