"""What an agent may not do to the laptop by sync: each is stopped, with a message, and the rest goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paude.sync import session
from paude.sync.limits import Limits
from paude.sync.state import SyncState
from sync_peer import NAME, Peer, eventually, reads, synced, tree

MANY = 40


def fill(root: Path, count: int = MANY) -> None:
    for number in range(count):
        (root / f"f{number:02}").write_text(str(number))


def remove(root: Path, left: int) -> None:
    for path in sorted(root.iterdir())[left:]:
        path.unlink()


async def empty(both: Peer, root: Path, left: int = 4) -> None:
    """Remove most files at once, as far as the sync sees."""
    await session.pause(both.paths, NAME)
    remove(root, left)
    await session.resume(both.paths, NAME)


async def stopped(both: Peer) -> SyncState:
    return await both.state(lambda s: bool(s.brakes))


@pytest.mark.parametrize("origin", ["laptop", "pod"])
async def test_when_most_files_go_the_sync_stops_and_one_command_brings_them_back(tmp_path: Path, origin: str) -> None:
    async with synced(tmp_path) as both:
        here, there = (both.laptop, both.pod) if origin == "laptop" else (both.pod, both.laptop)
        fill(both.laptop)
        await both.create()
        await empty(both, here)
        state = await stopped(both)
        assert len(tree(there)) == MANY
        assert not state.healthy
        assert "36 of 40" in state.message
        assert "paude sync reset" in state.message
        await session.reset(both.paths, NAME)
        await session.resume(both.paths, NAME)
        await both.state(lambda s: s.healthy and s.settled)
        assert tree(here) == tree(there)
        assert len(tree(here)) == MANY


async def test_what_was_meant_to_go_goes_by_one_command_and_only_that(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        fill(both.laptop)
        await both.create()
        await empty(both, both.pod)
        await stopped(both)
        assert (await session.allow_deletions(both.paths, NAME)).healthy
        assert tree(both.laptop) == tree(both.pod)
        assert len(tree(both.laptop)) == 4
        fill(both.laptop)
        await session.flush(both.paths, NAME)
        await empty(both, both.pod)
        assert (await stopped(both)).brakes, "one word holds once"


async def test_a_large_directory_that_moves_is_no_deletion(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "d").mkdir()
        fill(both.laptop / "d")
        await both.create()
        (both.pod / "d").rename(both.pod / "e")
        assert (await session.flush(both.paths, NAME)).healthy
        assert len(tree(both.laptop / "e")) == MANY


async def test_more_entries_than_allowed_stop_the_sync_and_it_says_so(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        fill(both.laptop, 3)
        await both.create(Limits(entries=30))
        await session.pause(both.paths, NAME)  # all at once, as far as the sync sees
        fill(both.pod)
        await session.resume(both.paths, NAME)
        state = await both.state(lambda s: bool(s.last_error))
        assert "in the pod there are more files" in state.message
        assert len(tree(both.laptop)) == 3
        await empty(both, both.pod)
        await both.state(lambda s: s.healthy and s.settled)


async def test_more_bytes_than_allowed_stop_the_sync_and_it_says_so(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create(Limits(tree_bytes=1 << 20))
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(1 << 22)
        (tmp_path / "sparse").rename(both.pod / "sparse")
        state = await both.state(lambda s: bool(s.last_error))
        assert "more than the 1048576 allowed" in state.message
        assert tree(both.laptop) == {}


async def test_a_file_that_is_too_large_stays_and_the_others_come(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create(Limits(file_bytes=1 << 20))
        (both.pod / "large").write_bytes(os.urandom((1 << 20) + 1))
        (both.pod / "small").write_text("small")
        await eventually(reads(both.laptop / "small", "small"))
        state = await both.state(lambda s: bool(s.problems or s.last_error))
        assert not (both.laptop / "large").exists()
        assert "larger than allowed" in " ".join([state.last_error, *(one.error for one in state.problems)])


async def test_what_lies_deeper_than_allowed_is_held(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create(Limits(depth=10))
        deep = both.pod.joinpath(*(["d"] * 20))
        deep.mkdir(parents=True)
        (deep / "f").write_text("x")
        (both.pod / "fine").write_text("x")
        await eventually(reads(both.laptop / "fine", "x"))
        state = await both.state(lambda s: bool(s.held))
        assert {held.why for held in state.held} == {"depth"}
        assert max(path.count("/") for path in tree(both.laptop)) < 10


async def test_a_name_that_controls_the_terminal_stays_and_is_listed(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        (both.pod / "a\x1b[2J\nb").write_text("x")
        state = await both.state(lambda s: bool(s.held))
        assert [held.path for held in state.held] == ["a\x1b[2J\nb"]
        assert tree(both.laptop) == {}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "d/../../outside"])
async def test_a_link_that_leaves_the_tree_stays_and_is_told(tmp_path: Path, target: str) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        (both.pod / "link").symlink_to(target)
        state = await both.state(lambda s: bool(s.problems))
        assert [(problem.side, problem.path) for problem in state.problems] == [("pod", "link")]
        assert tree(both.laptop) == {}


async def test_what_tools_here_run_comes_and_is_listed_also_after_the_daemon_was_ended(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        (both.pod / "sub").mkdir()
        (both.pod / "sub" / "package.json").write_text("{}")
        (both.pod / "main.c").write_text("x")
        await eventually(reads(both.laptop / "sub" / "package.json", "{}"))
        (both.pod / "sub" / "package.json").write_text('{"scripts": {}}')
        state = await both.state(lambda s: any(one.change == "changed" for one in s.flagged))
        assert [one.path for one in state.flagged] == ["sub/package.json"]
        assert state.healthy


async def test_content_travels_no_faster_than_allowed(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create(Limits(bytes_per_second=1 << 20))
        (both.laptop / "f").write_bytes(os.urandom(3 << 20))
        taken = await eventually(lambda: (both.pod / "f").exists(), within=30)
        assert taken > 1.5, "three seconds' worth, and the last piece is not waited for"
