"""Branches that are switched: what is checked out on one side does not turn up as changes of the other's branch."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paude.sync import daemon, session
from sync_peer import NAME, Peer, eventually, reads, synced

FILES = 30


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", root, *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Peer]:
    """Two clones with the branches `main` and `far`, of which all files differ."""
    async with synced(tmp_path) as found:
        git(found.laptop, "init", "-q")
        for branch in ("main", "far"):
            for number in range(FILES):
                (found.laptop / f"f{number}").write_text(f"{branch} {number}")
            git(found.laptop, "add", ".")
            git(found.laptop, "commit", "-q", "-m", branch)
            git(found.laptop, "switch", "-q", *(("-c", "far") if branch == "main" else ("main",)))
        shutil.copytree(found.laptop / ".git", found.pod / ".git")
        git(found.pod, "reset", "-q", "--hard")
        assert (await found.create()).healthy
        yield found


@pytest.mark.parametrize("side", ["laptop", "pod"])
async def test_a_switch_on_one_side_changes_nothing_on_the_other_until_both_agree(both: Peer, side: str) -> None:
    here, there = (both.laptop, both.pod) if side == "laptop" else (both.pod, both.laptop)
    git(here, "switch", "-q", "far")
    state = await both.state(lambda s: bool(s.fence))
    assert not state.healthy
    assert "far" in state.message
    await session.flush(both.paths, NAME)
    assert git(there, "status", "--porcelain") == ""
    assert (there / "f0").read_text() == "main 0"
    git(there, "switch", "-q", "far")
    await both.state(lambda s: s.healthy and s.settled)
    for root in (here, there):
        assert git(root, "status", "--porcelain") == ""
    (here / "f0").write_text("edited")
    await eventually(reads(there / "f0", "edited"))


async def test_a_switch_back_opens_the_fence_and_nothing_has_changed(both: Peer) -> None:
    git(both.laptop, "switch", "-q", "far")
    await both.state(lambda s: bool(s.fence))
    git(both.laptop, "switch", "-q", "main")
    await both.state(lambda s: s.healthy and s.settled)
    assert git(both.pod, "status", "--porcelain") == ""


async def test_a_fence_outlives_the_daemon(both: Peer) -> None:
    git(both.pod, "switch", "-q", "far")
    await both.state(lambda s: bool(s.fence))
    async with daemon.daemon(both.paths):
        await both.state(lambda s: bool(s.fence) and s.settled)
        assert git(both.laptop, "status", "--porcelain") == ""


async def test_a_new_branch_of_the_agent_is_no_switch(both: Peer) -> None:
    git(both.pod, "switch", "-q", "-c", "feature")
    (both.pod / "f0").write_text("work")
    await eventually(reads(both.laptop / "f0", "work"))
    git(both.pod, "commit", "-q", "-a", "-m", "work")
    (both.pod / "f1").write_text("more")
    await eventually(reads(both.laptop / "f1", "more"))
    assert (await session.flush(both.paths, NAME)).healthy
