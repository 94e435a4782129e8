"""Trees and names as real projects have them: many files at once, very large ones, odd names, clocks that are off."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from paude.sync import daemon, session
from sync_peer import NAME, Peer, eventually, peer, reads, synced, tree

ODD = (
    "emoji-😀",
    "x" * 255,
    "ü",
    "-rf",
    " leading and trailing ",
    "a'b\"c`d$e",
    "back\\slash",
    "con",
    "dot.",
    "*?[!]",
    "\u202eexe.txt",
    "~",
    "#hash",
)
HOUR_S = 3600


async def test_odd_names_travel_both_ways(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for name in ODD:
            (both.laptop / name).write_text(name)
        (both.pod / "d").mkdir()
        for name in ODD:
            (both.pod / "d" / name).write_text(name)
        state = await both.create()
        assert state.healthy, state.message
        expected = {name: name.encode() for name in ODD}
        assert {name: facts for name, facts in tree(both.pod).items() if "/" not in name and name != "d"} == expected
        assert {name: (both.laptop / "d" / name).read_bytes() for name in ODD} == expected


@pytest.mark.parametrize("origin", ["laptop", "pod"])
async def test_a_name_that_changes_its_case_only_has_one_file(tmp_path: Path, origin: str) -> None:
    async with synced(tmp_path) as both:
        here, there = (both.laptop, both.pod) if origin == "laptop" else (both.pod, both.laptop)
        (both.laptop / "d").mkdir()
        (both.laptop / "d" / "Readme.md").write_text("text")
        await both.create()
        (here / "d" / "Readme.md").rename(here / "d" / "README.md")
        (here / "d").rename(here / "D")
        await eventually(reads(there / "D" / "README.md", "text"))
        assert (await session.flush(both.paths, NAME)).healthy
        assert tree(here) == tree(there) == {"D": None, "D/README.md": b"text"}


@pytest.mark.parametrize("off", [-HOUR_S, HOUR_S])
async def test_a_clock_that_is_off_hides_no_edit_and_makes_no_conflict(tmp_path: Path, off: int) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("first")
        await both.create()
        for number, (here, there) in enumerate(((both.pod, both.laptop), (both.laptop, both.pod)) * 2):
            (here / "f").write_text(f"edit{number}")  # of the same length
            if here is both.pod:
                os.utime(here / "f", (time.time() + off,) * 2)
            await eventually(reads(there / "f", f"edit{number}"))
        assert (await session.flush(both.paths, NAME)).healthy


@pytest.mark.slow
async def test_twenty_thousand_small_files_come_and_go(tmp_path: Path) -> None:
    """As an installation of packages makes them, in a directory that travels."""
    with anyio.fail_after(400):
        await _run(tmp_path, _install)


@pytest.mark.slow
async def test_a_file_of_two_gigabytes_arrives_whole_and_an_edit_of_it_too(tmp_path: Path) -> None:
    with anyio.fail_after(400):
        await _run(tmp_path, _large)


async def _run(directory: Path, play: Callable[[Peer], Awaitable[None]]) -> None:
    with peer(directory) as both:
        async with daemon.daemon(both.paths):
            await both.create()
            await play(both)


async def _install(both: Peer) -> None:
    _packages(both.pod, 20_000)
    await _in_step(both)
    assert _count(both.laptop) == 20_000
    (both.pod / "packages").rename(both.pod / "moved")
    await _in_step(both)
    assert _count(both.laptop / "moved") == 20_000
    assert not (both.laptop / "packages").exists()


async def _large(both: Peer) -> None:
    _write(both.laptop / "large", 2048)
    await _in_step(both)
    assert _digest(both.pod / "large") == _digest(both.laptop / "large")
    with (both.pod / "large").open("r+b") as file:
        file.seek(1 << 30)
        file.write(b"in the middle")
    await _in_step(both)
    assert _digest(both.pod / "large") == _digest(both.laptop / "large")


async def _in_step(both: Peer) -> None:
    state = await session.flush(both.paths, NAME)
    assert state.healthy, state.message


def _packages(root: Path, count: int) -> None:
    for number in range(count):
        path = root / "packages" / f"p{number % 500}" / f"f{number}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"module.exports = {number}\n" * 20)


def _count(root: Path) -> int:
    return sum(1 for path in root.rglob("*") if path.is_file())


def _write(path: Path, mebibytes: int) -> None:
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "big") + piece[8:])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
