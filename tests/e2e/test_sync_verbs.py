"""`paude sync` and `paude review` against a running session: what they tell, and what they change."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.waiting import eventually

from laptop import Laptop

pytestmark = pytest.mark.cluster


def git(where: Path, *words: str | Path) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", "-C", where, *identity, *words], capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Session:
    """A running session whose workspace is a shallow clone."""

    laptop: Laptop
    name: str
    workspace: Path

    def inside(self, command: str) -> str:
        return self.laptop.inside(self.name, command)

    def paude(self, *words: str, code: int = 0) -> str:
        return self.laptop.paude(*words, code=code).stdout

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Both sides change meanwhile and nobody compares them."""
        self.paude("sync", "pause", self.name)
        yield
        self.paude("sync", "resume", self.name)


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    origin = shared_laptop.workspace("origin", {"README": "one\n", "run": "#!/bin/sh\n"})
    (origin / "run").chmod(0o755)
    git(origin, "init", "-q")
    for number in range(4):
        (origin / "README").write_text(f"{number}\n")
        git(origin, "add", ".")
        git(origin, "commit", "-qm", f"change {number}")
    workspace = shared_laptop.home / "clone"
    git(shared_laptop.home, "clone", "-q", "--depth=2", f"file://{origin}", workspace)
    return Session(shared_laptop, shared_laptop.start(workspace), workspace)


def test_a_shallow_history_arrives_as_shallow_as_it_is_here(session: Session) -> None:
    assert session.inside(
        "git rev-list --count HEAD; git status --porcelain; git fsck --connectivity-only"
    ).split() == ["2"]
    assert session.inside("git rev-parse HEAD").strip() == git(session.workspace, "rev-parse", "HEAD").strip()


def test_a_file_has_the_same_mode_however_it_came(session: Session) -> None:
    (session.workspace / "synced").mkdir()
    (session.workspace / "synced" / "plain").write_text("x")
    (session.workspace / "synced" / "run").write_text("x")
    (session.workspace / "synced" / "run").chmod(0o755)
    session.paude("sync", "flush", session.name)
    modes = session.inside("stat -c %a README synced/plain run synced/run synced").split()
    assert modes == ["664", "664", "775", "775", "775"]


def test_every_conflict_can_be_seen_and_ended_and_no_version_is_lost(session: Session) -> None:
    with session.apart():
        for name in ("a.txt", "b.txt", "c.tar.gz", "d \u00fc"):
            (session.workspace / name).write_text(f"laptop {name}\n")
            session.inside(f"echo 'agent {name}' > '{name}'")
    listed = json.loads(session.paude("sync", "conflicts", session.name, "-o", "json", code=9))
    assert [one["path"] for one in listed["conflicts"]] == ["a.txt", "b.txt", "c.tar.gz", "d \u00fc"]
    shown = session.paude("sync", "diff", "a.txt")
    assert "-laptop a.txt" in shown
    assert "+agent a.txt" in shown
    session.laptop.paude("sync", "resolve", "nothing", "--keep", "local", code=2)

    ended = session.laptop.paude("sync", "resolve", "a.txt", "--keep", "local").stderr
    assert session.inside("cat a.txt") == (session.workspace / "a.txt").read_text() == "laptop a.txt\n"
    assert kept(ended, session) == ["agent a.txt\n"]

    ended = session.laptop.paude("sync", "resolve", "d \u00fc", "--keep", "agent").stderr
    assert (session.workspace / "d \u00fc").read_text() == session.inside("cat d*") == "agent d \u00fc\n"
    assert kept(ended, session) == ["laptop d \u00fc\n"]

    session.paude("sync", "resolve", "c.tar.gz", "--keep", "both")
    assert (session.workspace / "c.tar.gz").read_text() == session.inside("cat c.tar.gz") == "laptop c.tar.gz\n"
    assert (session.workspace / "c.agent.tar.gz").read_text() == "agent c.tar.gz\n"

    assert [one["path"] for one in status(session)["conflicts"]] == ["b.txt"]
    assert "in conflict" in session.paude("sync", "verify", session.name)
    session.paude("sync", "resolve", "b.txt", "--keep", "local")
    assert status(session)["healthy"]


def kept(said: str, session: Session) -> list[str]:
    """What lies where paude says that it keeps the other version on this machine."""
    places = [Path(line.partition(": ")[2]) for line in said.splitlines() if line.startswith("the other version: ")]
    return [place.read_text() for place in places if place.is_relative_to(session.laptop.state)]


def status(session: Session) -> dict[str, object]:
    return dict(json.loads(session.paude("sync", "status", session.name, "-o", "json")))


def test_verify_finds_what_differs_and_nothing_where_nothing_does(session: Session) -> None:
    (session.workspace / "link").symlink_to("README")
    session.paude("sync", "flush", session.name)
    assert "0 differ" in session.paude("sync", "verify", session.name)
    with session.apart():
        session.inside("printf X >> README; chmod +x a.txt; rm -r synced; ln -sf run link; ")
        shown = session.paude("sync", "verify", session.name, code=1)
    lines = {line.partition(": ")[0]: line.partition(": ")[2] for line in shown.splitlines()}
    assert lines["README"] == "other content"
    assert lines["a.txt"] == "executable on one side only"
    assert lines["link"] == "other target"
    assert lines["synced"] == lines["synced/run"] == "only on the laptop"
    session.paude("sync", "flush", session.name)
    session.paude("sync", "verify", session.name)


def test_what_is_held_is_shown_and_comes_over_only_as_it_was_shown(session: Session) -> None:
    evil = "sub/.vscode/tasks.json"
    session.inside(f"mkdir -p sub/.vscode && printf 'good\\033[2K\\n' > {evil} && echo x > .envrc && chmod +x .envrc")
    session.laptop.paude("review", "--accept", evil, code=2)
    held = json.loads(session.paude("review", session.name, "-o", "json"))["held"]
    assert {(one["path"], one["change"], one["executable"]) for one in held} == {
        (evil, "new", False),
        (".envrc", "new", True),
    }
    shown = session.paude("review", session.name)
    assert "+good\\x1b[2K" in shown
    assert "\x1b" not in shown

    session.inside(f"echo evil > {evil}")
    assert "changed since" in session.laptop.paude("review", "--accept", evil, code=2).stderr
    assert not (session.workspace / "sub/.vscode").exists()

    session.paude("review", session.name)
    session.paude("review", "--accept", evil)
    assert (session.workspace / evil).read_text() == "evil\n"
    eventually(lambda: [one["path"] for one in status(session)["held"]] == [], 10, "an accepted path is held no more")
    assert [one["path"] for one in json.loads(session.paude("review", "-o", "json"))["held"]] == [".envrc"]


def test_a_link_leads_the_gate_nowhere(session: Session) -> None:
    session.inside("mkdir -p .zed && ln -s /vol/gate .zed/out && ln -s ../../etc/passwd .zed/passwd")
    held = {one["path"]: one["text"] for one in json.loads(session.paude("review", "-o", "json"))["held"]}
    assert "+-> ../../etc/passwd" in held[".zed/passwd"]
    assert {".zed/out", ".zed/passwd"} < set(held)
    session.laptop.paude("review", "--accept", ".zed/out", code=1)
    assert not (session.workspace / ".zed/out").is_symlink()
