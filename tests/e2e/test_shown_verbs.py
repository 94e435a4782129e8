"""The verbs beside start and stop, as a user or his scripts see them; git travels by git."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.waiting import eventually

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

BYTES = bytes(range(256)) * 4096


@dataclass(frozen=True)
class Session:
    """A session whose workspace is a git repository with two commits."""

    laptop: Laptop
    name: str
    workspace: Path

    def exec(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, "-m", "paude", "exec", self.name, "--no-tty", "--", *command]
        laptop = self.laptop
        return subprocess.run(argv, env=laptop.env, cwd=laptop.home, input=stdin, capture_output=True, timeout=60)


def git(workspace: Path, *words: str) -> str:
    nothing = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = {**nothing, "HOME": str(workspace), "PATH": os.environ["PATH"]}
    names = {f"GIT_{who}_{what}": "dev@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", "-C", workspace, *words], env=who | names, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    workspace = shared_laptop.workspace("repo", {"a.txt": "one\n"})
    git(workspace, "init", "-q", "-b", "main")
    git(workspace, "add", ".")
    git(workspace, "commit", "-qm", "first")
    (workspace / "a.txt").write_text("two\n")
    git(workspace, "commit", "-qam", "second")
    return Session(shared_laptop, shared_laptop.start(workspace), workspace)


def test_an_agent_that_answers_runs_before_its_kubelet_has_told_so(session: Session, kubectl: Admin) -> None:
    pod, told = f"pod/paude-{session.name}-0", {"waiting": {"reason": "PodInitializing"}}
    path = "/status/containerStatuses/0"
    late = [(f"{path}/state", told), (f"{path}/started", False), (f"{path}/ready", False)]
    patch = json.dumps([{"op": "replace", "path": where, "value": value} for where, value in late])

    def seen() -> str:
        """What is shown while the cluster knows no better; empty where the kubelet has put it right meanwhile."""
        kubectl("patch", pod, "--subresource=status", "--type=json", "-p", patch)
        shown = session.laptop.paude("status", session.name).stdout
        still = json.loads(kubectl("get", pod, "-o", "jsonpath={.status.containerStatuses[0].state}"))
        return shown if still == told else ""

    assert "state:      running\n" in eventually(seen, 60)
    # The kubelet puts it right when it next compares, and what comes after this test reads it.
    eventually(lambda: kubectl("get", pod, "-o", "jsonpath={.status.containerStatuses[0].started}") == "true", 60)


@pytest.mark.parametrize("code", [0, 1, 7, 130, 255])
def test_exec_ends_with_the_commands_own_code(session: Session, code: int) -> None:
    assert session.exec("sh", "-c", f"exit {code}").returncode == code


def test_exec_of_what_is_not_there_ends_with_127(session: Session) -> None:
    done = session.exec("no-such-program")
    assert done.returncode == 127
    assert b"no-such-program" in done.stderr


def test_exec_carries_every_byte_both_ways_and_keeps_the_streams_apart(session: Session) -> None:
    assert session.exec("cat", stdin=BYTES).stdout == BYTES
    done = session.exec("sh", "-c", "wc -c; echo complaint >&2", stdin=BYTES)
    assert done.stdout.split() == [str(len(BYTES)).encode()]
    assert done.stderr == b"complaint\n"


def test_exec_passes_words_on_unchanged(session: Session) -> None:
    words = ["a b", "$HOME", "'", '"', "*", "--name", "", "ä\n"]
    assert session.exec("printf", "%s|", *words).stdout.decode() == "".join(f"{word}|" for word in words)


def test_cp_carries_files_and_directories_both_ways(session: Session) -> None:
    home, name, paude = session.laptop.home, session.name, session.laptop.paude
    (home / "out.bin").write_bytes(BYTES)
    paude("cp", "out.bin", f"{name}:/tmp/in.bin")
    assert session.exec("cat", "/tmp/in.bin").stdout == BYTES
    paude("cp", f"{name}:/tmp/in.bin", "back.bin")
    assert (home / "back.bin").read_bytes() == BYTES
    session.exec("sh", "-c", "mkdir -p /tmp/d/e && echo deep > /tmp/d/e/f")
    paude("cp", "-r", f"{name}:/tmp/d", "d")
    assert (home / "d/e/f").read_text() == "deep\n"
    assert paude("cp", f"{name}:/tmp/nothing", ".", code=None).returncode != 0


def test_sessions_in_every_form_names_the_session(session: Session) -> None:
    paude, name = session.laptop.paude, session.name
    assert name in paude("sessions", "-o", "name").stdout.split()
    row = next(one for one in json.loads(paude("sessions", "-o", "json").stdout)["sessions"] if one["name"] == name)
    assert (row["state"], row["agent"], row["workspace"], row["namespace"]) == (
        "running",
        "shell",
        str(session.workspace),
        "proj-a",
    )
    wide = paude("sessions", "-o", "wide").stdout.splitlines()
    assert wide[0].split()[:2] == ["NAME", "STATE"]
    assert "WALL" in wide[0]
    assert any(line.startswith(name) and "closed" in line for line in wide)
    assert name in paude().stdout  # bare, with what to do next
    assert "paude attach" in paude().stdout


def test_status_tells_how_it_stands_for_people_and_for_programs(session: Session) -> None:
    facts = json.loads(session.laptop.paude("status", "-o", "json").stdout)  # the most recent is the default
    assert facts["session"] == session.name
    assert facts["state"] == "running"
    assert facts["fence"]["state"] == "clean"
    assert facts["sync"]["conflicts"] == []
    shown = session.laptop.paude("status", session.name).stdout
    assert "running" in shown
    assert "clean" in shown


def test_logs_of_each_container(session: Session) -> None:
    said = {one: session.laptop.paude("logs", session.name, "-c", one).stdout for one in ("gate", "fence", "agent")}
    assert "leave given" in said["gate"]
    assert "leave is there" in said["agent"]
    assert session.laptop.paude("logs", session.name, "-c", "nobody", code=2).stdout == ""


def test_plain_ssh_knows_the_session_by_the_printed_line(session: Session) -> None:
    line = session.laptop.paude("ssh-config").stdout
    config = session.laptop.home / "ssh_config"
    config.write_text(line)
    argv = ["ssh", "-F", str(config), f"{session.name}.paude", "cat /workspace/a.txt"]
    env = {key: value for key, value in session.laptop.env.items() if key in ("PATH", "HOME")}
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "two\n"


# --- no session, or not yet


def test_attach_without_a_session_says_so(laptop: Laptop) -> None:
    done = laptop.paude("attach", code=4)
    assert "there is no session" in done.stderr
    assert "paude start" in done.stderr
    done = laptop.paude("attach", "nobody", code=4)
    assert "there is no session nobody" in done.stderr


def test_attach_to_a_session_whose_start_was_killed_says_so(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("half")
    with laptop.popen("start", str(workspace), "--agent", "shell", "--detach") as start:
        record = eventually(laptop.records, 20, "the record").get(str(workspace))
        os.killpg(start.pid, signal.SIGKILL)
        start.communicate()
    assert record is not None
    done = laptop.paude("attach", code=4)
    assert f"{record['name']} is not ready" in done.stderr
    assert "paude start" in done.stderr
    laptop.paude("stop", str(record["name"]), code=None)
    assert {one for one in kubectl.names() if str(record["name"]) in one} == set()
    assert laptop.records() == {}


# --- git; last in this module: it ends the session


def test_history_goes_in_with_the_start_and_comes_home_with_the_stop(session: Session) -> None:
    name, workspace = session.name, session.workspace
    here = git(workspace, "log", "--format=%H %s")
    assert session.exec("git", "log", "--format=%H %s").stdout.decode().strip() == here
    assert session.exec("git", "status", "--porcelain").stdout == b""

    trap = session.laptop.home / "trap"
    hook = f"#!/bin/sh\ntouch {trap} /tmp/trap 2>/dev/null\nexit 0\n"
    names = "post-checkout post-merge reference-transaction post-update pre-commit"
    plant = f"cat > /tmp/h; chmod +x /tmp/h; for h in {names}; do cp /tmp/h .git/hooks/$h; done"
    session.exec("sh", "-c", plant, stdin=hook.encode())
    session.exec("sh", "-c", "echo three > a.txt && git -c user.name=a -c user.email=a@a commit -qam third")
    commit = session.exec("git", "rev-parse", "HEAD").stdout.decode().strip()
    assert commit not in here
    assert session.exec("ls", "/tmp/trap").returncode == 0, "the control: the hooks do work, where they are"
    eventually(lambda: (workspace / "a.txt").read_text() == "three\n", what="the agent's edit")

    session.laptop.paude("stop", name)
    assert commit in git(workspace, "for-each-ref", "--format=%(objectname)", f"refs/paude/{name}/")
    assert git(workspace, "show", f"{commit}:a.txt") == "three"
    assert not trap.exists()
    hooks = {path.name for path in (workspace / ".git/hooks").iterdir() if not path.name.endswith(".sample")}
    assert hooks == set()
