"""The agent commits, and the developer has it: at once, and only where that is safe."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.waiting import eventually

from laptop import Laptop

pytestmark = pytest.mark.cluster

# 2 s is promised on a machine that has nothing else to do; this one has.
SOON_S = 8
COMMIT = "git add -A && git -c user.name=agent -c user.email=a@example.test commit -qm work && git rev-parse HEAD"


def git(where: Path, *words: str | Path) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", where, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Session:
    """A running session whose workspace is a repository with one commit."""

    laptop: Laptop
    name: str
    workspace: Path

    def commits(self, change: str) -> str:
        """Have the agent change something and commit it; gives the commit."""
        return self.laptop.inside(self.name, f"{change} && {COMMIT}").strip()

    def branch(self) -> str:
        return git(self.workspace, "rev-parse", "main")

    def waits(self, commit: str) -> None:
        """The commit is here, and no branch has moved to it."""
        ref = f"refs/paude/{self.name}/main"
        eventually(lambda: git(self.workspace, "for-each-ref", "--format=%(objectname)", ref) == commit, 20, ref)


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    workspace = shared_laptop.workspace("repo", {"f": "one\n"})
    git(workspace, "init", "-q")
    git(workspace, "add", ".")
    git(workspace, "commit", "-qm", "first")
    return Session(shared_laptop, shared_laptop.start(workspace), workspace)


def test_a_commit_of_the_agent_is_on_the_branch_here_by_itself(session: Session) -> None:
    for number in range(3):
        made = session.commits(f"echo {number} >> f && echo new > g{number}")
        began = time.monotonic()
        eventually(lambda made=made: session.branch() == made, SOON_S, "the branch here")
        print(f"a commit was here {time.monotonic() - began:.2f} s after it was made")  # noqa: T201
        # The index follows the branch a moment later.
        eventually(lambda: not git(session.workspace, "status", "--porcelain") and "clean", 3, "a clean status")
        assert session.laptop.inside(session.name, "git status --porcelain") == ""


def test_work_in_progress_on_either_side_stays_in_progress(session: Session) -> None:
    (session.workspace / "mine").write_text("x")
    session.laptop.paude("sync", "flush", session.name)
    made = session.commits(
        "echo more >> f && git add f && git reset -q mine; echo later > draft; rm -f .git/x; echo y > g0"
    )
    eventually(lambda: session.branch() == made, SOON_S, "the branch here")
    assert (session.workspace / "draft").read_text() == "later\n"


def test_a_commit_of_the_developer_is_on_the_branch_there_by_itself(session: Session) -> None:
    (session.workspace / "ours").write_text("mine")
    git(session.workspace, "add", "-A")
    (session.workspace / "later").write_text("not committed")
    git(session.workspace, "commit", "-qm", "mine")
    made, began = session.branch(), time.monotonic()
    here = "git rev-parse HEAD; git status --porcelain"
    eventually(
        lambda: session.laptop.inside(session.name, here) == f"{made}\n?? later\n", SOON_S + 12, "the branch there"
    )
    print(f"a commit was there {time.monotonic() - began:.2f} s after it was made")  # noqa: T201
    (session.workspace / "later").unlink()
    session.laptop.paude("sync", "flush", session.name)


def test_a_commit_of_the_developer_waits_while_something_is_staged_there(session: Session) -> None:
    before = session.laptop.inside(session.name, "echo s > staged && git add staged && git rev-parse HEAD")
    incoming = "git for-each-ref --format='%(objectname)' refs/paude/laptop/main"
    # The second one is sent when all is done with the first.
    for message in ("mine too", "and once more"):
        git(session.workspace, "commit", "-q", "--allow-empty", "-m", message)
        eventually(lambda: session.laptop.inside(session.name, incoming).strip() == session.branch(), 20, "the push")
    assert session.laptop.inside(session.name, "git rev-parse HEAD") == before
    session.laptop.inside(session.name, "git reset -q --hard refs/paude/laptop/main && rm -f staged")


@pytest.mark.parametrize("path", [".envrc", ".claude/settings.json", "sub/.vscode/tasks.json"])
def test_a_branch_stays_while_its_commits_touch_what_is_held(session: Session, path: str) -> None:
    before = session.branch()
    made = session.commits(f"mkdir -p $(dirname {path}) && echo evil > {path}")
    session.waits(made)
    told = eventually(lambda: path in (text := session.laptop.paude("sync", "status", session.name).stdout) and text)
    assert "holds" in told
    assert session.branch() == before
    assert not (session.workspace / path).exists()
    # Back to where it was, so that the next one is judged alone; what was made is still under its name.
    session.laptop.inside(session.name, f"git reset -q --hard {before}")
    session.waits(before)
    assert git(session.workspace, "rev-parse", f"refs/paude/{session.name}/main@{{1}}") == made


def test_commits_on_both_sides_wait_for_the_developer(session: Session) -> None:
    # What is staged there keeps the commit from here off the agent's branch until the agent has made its own.
    session.laptop.inside(session.name, "echo theirs > theirs && git add theirs")
    git(session.workspace, "commit", "-q", "--allow-empty", "-m", "mine")
    mine = session.branch()
    made = session.commits("true")
    session.waits(made)
    told = eventually(
        lambda: "went on" in (text := session.laptop.paude("sync", "status", session.name).stdout) and text
    )
    assert f"refs/paude/{session.name}" in told
    assert session.branch() == mine
    held = json.loads((session.laptop.state / "paude" / "sessions" / session.name / "history.json").read_text())
    assert held["new"] == made


def test_a_commit_made_just_before_the_stop_is_here_after_it(session: Session) -> None:
    made = session.commits("echo last > last")
    session.laptop.paude("stop", session.name)
    assert git(session.workspace, "rev-parse", f"refs/paude/{session.name}/main") == made
    assert (session.workspace / "last").read_text() == "last\n"
