"""The developer's commit moves the agent's branch, or waits: whatever the agent's git is at, nothing of it is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from paude.sync.publish import forwarding

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")


@dataclass(frozen=True)
class Pod:
    """A repository whose branch `main` could be moved to the commit `new`, which is there under another name."""

    root: Path
    new: str

    def git(self, *words: str, check: bool = True) -> str:
        argv = ["git", "-C", str(self.root), *IDENTITY, *words]
        return subprocess.run(argv, check=check, capture_output=True, text=True).stdout.strip()

    def commit(self, text: str) -> str:
        (self.root / "f").write_text(text)
        self.git("commit", "-q", "-a", "-m", text)
        return self.git("rev-parse", "HEAD")

    def forward(self) -> str:
        """Run what paude runs there; gives what it prints."""
        script = forwarding("main", self.new, str(self.root))
        return subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout.strip()

    def facts(self) -> tuple[str, ...]:
        """All that must not change while the branch stays."""
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)")
        head = (self.root / ".git" / "HEAD").read_text()
        return refs, head, self.git("status", "--porcelain=v2", check=False), (self.root / "f").read_text()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    bare = Pod(tmp_path, "")
    bare.git("init", "-q")
    (tmp_path / "f").write_text("one")
    bare.git("add", "f")
    bare.commit("one")
    bare.git("switch", "-q", "-c", "side")
    bare.commit("the agent's other work")
    bare.git("switch", "-q", "main")
    bare.commit("two")
    new = bare.commit("three")
    bare.git("update-ref", "refs/paude/laptop/main", new)
    bare.git("reset", "-q", "--hard", "HEAD~1")
    return Pod(tmp_path, new)


def merging(pod: Pod) -> None:
    pod.git("merge", "side", check=False)


def rebasing(pod: Pod) -> None:
    """In the middle of it HEAD is detached."""
    pod.git("rebase", "side", check=False)


def picking(pod: Pod) -> None:
    pod.git("cherry-pick", "side", check=False)


def reverting(pod: Pod) -> None:
    pod.git("revert", "--no-edit", "HEAD~1", check=False)


def bisecting(pod: Pod) -> None:
    pod.git("bisect", "start")


def locked(pod: Pod) -> None:
    (pod.root / ".git" / "index.lock").touch()


def detached(pod: Pod) -> None:
    pod.git("switch", "-q", "--detach")


def elsewhere(pod: Pod) -> None:
    pod.git("switch", "-q", "side")


def diverged(pod: Pod) -> None:
    pod.commit("the agent went on")


def staged(pod: Pod) -> None:
    (pod.root / "f").write_text("staged")
    pod.git("add", "f")


OBSTACLES: list[tuple[Callable[[Pod], None], str]] = [
    (merging, "in progress there (MERGE_HEAD)"),
    (rebasing, "another branch is checked out there"),
    (picking, "in progress there (CHERRY_PICK_HEAD)"),
    (reverting, "in progress there (REVERT_HEAD)"),
    (bisecting, "in progress there (BISECT_LOG)"),
    (locked, "in progress there (index.lock)"),
    (detached, "another branch is checked out there"),
    (elsewhere, "another branch is checked out there"),
    (diverged, "its branch went on too"),
    (staged, "something is staged there"),
]


@pytest.mark.parametrize(("obstacle", "why"), OBSTACLES, ids=[one.__name__ for one, _ in OBSTACLES])
def test_the_agents_branch_stays_and_nothing_changes(pod: Pod, obstacle: Callable[[Pod], None], why: str) -> None:
    obstacle(pod)
    before = pod.facts()
    assert why in pod.forward()
    assert pod.facts() == before


def test_without_an_obstacle_ref_and_index_follow_and_no_file_is_written(pod: Pod) -> None:
    (pod.root / "f").write_text("three")  # as the sync brings it
    (pod.root / "draft").write_text("the agent's")
    assert pod.forward() == ""
    assert pod.git("rev-parse", "main") == pod.new
    assert pod.git("status", "--porcelain") == "?? draft"


def test_an_index_that_cannot_follow_takes_the_branch_back(pod: Pod) -> None:
    """Git takes the lock between the look and the move: an index that cannot be replaced is like that."""
    before = pod.git("rev-parse", "main")
    hook = pod.root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" = committed ] && touch "$(git rev-parse --git-path index.lock)"\nexit 0\n')
    hook.chmod(0o755)
    script = forwarding("main", pod.new, str(pod.root))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert pod.git("rev-parse", "main") == before
