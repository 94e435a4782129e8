"""The workspace is the same on both sides, and where it cannot be, nothing is lost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.trees import HASH_COMMAND, grow, hash_of
from peers.waiting import eventually

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Session:
    """A running session and its workspace."""

    laptop: Laptop
    name: str
    workspace: Path

    def inside(self, command: str, code: int | None = 0) -> str:
        return self.laptop.inside(self.name, command, code)

    def arrives(self, path: str, text: str) -> None:
        """Wait in the agent's container, where nothing tells."""
        look = f"[ \"$(cat '{path}' 2>&1)\" = '{text}' ] && exit 0"
        self.inside(f"for i in $(seq 200); do {look}; sleep 0.1; done; exit 1")

    def conflicts(self) -> list[str]:
        status = json.loads(self.laptop.paude("status", self.name, "-o", "json").stdout)
        return [one["path"] for one in status["sync"]["conflicts"]]


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    """500 files and one of 50 MB, seeded at the start."""
    workspace = shared_laptop.workspace("tree")
    grow(workspace, 500, 50 * 1000**2)
    return Session(shared_laptop, shared_laptop.start(workspace), workspace)


def test_many_files_and_a_large_one_arrive_intact(session: Session) -> None:
    assert session.inside(HASH_COMMAND).strip() == hash_of(session.workspace)
    assert sorted(session.inside("cd /workspace && find . -type f").splitlines()) == _listed(session.workspace)
    assert len(_listed(session.workspace)) == 502  # with README and the large one


def test_a_tree_that_differs_is_seen_to_differ(session: Session) -> None:
    """The control of the test above: one byte in one file, on one side that sync leaves alone."""
    right = hash_of(session.workspace)
    copy = "cp -r /workspace /tmp/copy && printf x >> '/tmp/copy/d1/e1/file 1.txt' && "
    assert session.inside(copy + HASH_COMMAND.replace("/workspace", "/tmp/copy")).strip() != right


def test_an_edit_here_arrives_there_and_an_edit_there_arrives_here(session: Session) -> None:
    (session.workspace / "here.txt").write_text("from the laptop")
    session.arrives("here.txt", "from the laptop")
    session.inside("echo from the pod > there.txt && mkdir -p new/dir && mv there.txt 'new/dir/ä b.txt'")
    eventually(lambda: (session.workspace / "new/dir/ä b.txt").exists(), what="the agent's file")
    assert (session.workspace / "new/dir/ä b.txt").read_text() == "from the pod\n"
    assert not (session.workspace / "there.txt").exists()
    (session.workspace / "here.txt").unlink()
    session.inside("for i in $(seq 200); do [ ! -e here.txt ] && exit 0; sleep 0.1; done; exit 1")


def test_files_that_come_during_the_session_arrive_intact_both_ways(session: Session) -> None:
    grow(session.workspace / "more", 100, 5 * 1000**2, seed=8)
    session.inside("mkdir -p made && head -c 5000000 /dev/urandom > made/large && seq 1 20000 > made/numbers")
    # A conflict or a file under way would make the hashes differ: they are compared until both sides have settled.
    eventually(lambda: session.inside(HASH_COMMAND).strip() == hash_of(session.workspace), 30, "the same tree")
    assert len(list((session.workspace / "more").rglob("*.txt"))) == 100
    assert (session.workspace / "made/large").stat().st_size == 5_000_000


# Last in this module: they end the session.


def test_a_conflict_keeps_both_versions_and_is_reported_and_keeps_the_volume(session: Session, kubectl: Admin) -> None:
    laptop = session.laptop
    laptop.paude("supervisor", "stop")  # both sides change it while nobody compares them
    (session.workspace / "both.txt").write_text("the laptop's\n")
    # `exec` would start a supervisor, and with it the sync.
    pod = f"paude-{session.name}-0"
    kubectl("exec", pod, "-c", "agent", "--", "sh", "-c", "echo the agents > /workspace/both.txt")
    assert session.inside("cat both.txt") == "the agents\n"

    eventually(lambda: session.conflicts() == ["both.txt"], 30, "the conflict")
    shown = laptop.paude("status", session.name).stdout
    assert "both.txt" in shown
    assert "1 conflict" in shown

    stopped = laptop.paude("stop", session.name, code=9)
    assert "both.txt" in stopped.stderr
    assert "--discard" in stopped.stderr
    assert (session.workspace / "both.txt").read_text() == "the laptop's\n"
    assert f"persistentvolumeclaim/paude-{session.name}" in kubectl.names()
    assert f"pod/{pod}" not in kubectl.names()

    assert laptop.start(session.workspace) == session.name
    assert session.inside("cat both.txt") == "the agents\n"
    eventually(lambda: session.conflicts() == ["both.txt"], 30, "the conflict after a new start")

    laptop.paude("stop", session.name, "--discard")
    assert {one for one in kubectl.names() if session.name in one} == set()
    assert (session.workspace / "both.txt").read_text() == "the laptop's\n"


@pytest.mark.slow
def test_five_thousand_files_and_one_of_500_megabytes_arrive_intact(laptop: Laptop) -> None:
    workspace = laptop.workspace("huge")
    grow(workspace, 5000, 500 * 1000**2)
    began = time.monotonic()
    session = Session(laptop, laptop.start(workspace), workspace)
    print(f"started after {time.monotonic() - began:.1f} s")  # noqa: T201
    assert session.inside(HASH_COMMAND).strip() == hash_of(workspace)
    assert len(_listed(workspace)) == 5002
    session.inside("cp large.bin /tmp/x && printf end >> /tmp/x && mv /tmp/x back.bin")
    eventually(lambda: (workspace / "back.bin").exists(), 120, "500 MB on the way back")
    assert session.inside("sha256sum < back.bin | cut -c1-64").strip() == _sha256(workspace / "back.bin")


def _listed(root: Path) -> list[str]:
    return sorted(f"./{path.relative_to(root)}" for path in root.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
