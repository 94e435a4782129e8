"""Whatever is killed, and whenever: the next verb finds it by the record, and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import available, machine, podman, things

pytestmark = pytest.mark.podman

STEPS = ["claim volume", "store secrets", "run proxy", "make network", "run gate", "run agent", "first sync"]


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        made.start(made.workspace("warm"), "--name", "kill-warm", "--timeout", "250")  # the images are there after it
        made.paude("stop", "kill-warm")
        yield made


def killed_at(laptop: Laptop, workspace: Path, name: str, mark: str) -> None:
    """Start a session and kill paude, without any warning, when it says `mark`."""
    words = ("start", str(workspace), "--agent", "shell", "-d", "--name", name, "--progress", "plain")
    with laptop.popen(*words) as child:
        assert child.stderr is not None
        said = ""
        for line in child.stderr:
            said += line
            if mark in line:
                break
        else:
            raise AssertionError(f"it never came to {mark!r}:\n{said}")
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_left_of_a_start_that_was_killed(laptop: Laptop, step: str) -> None:
    name = f"kill-{step.replace(' ', '-')}"
    killed_at(laptop, laptop.workspace(name), name, f"{step}: started")
    laptop.paude("stop", name, "--discard")
    assert things(name) == set()
    assert name not in str(laptop.records())


def test_a_start_after_a_killed_one_works_and_takes_its_place(laptop: Laptop) -> None:
    workspace = laptop.workspace("again")
    killed_at(laptop, workspace, "kill-again", "run agent: started")
    laptop.start(workspace, "--name", "kill-again")
    assert laptop.inside("kill-again", "cat /workspace/README") == "hello\n"
    laptop.paude("stop", "kill-again", "--discard")
    assert things("kill-again") == set()


def test_a_start_whose_podman_is_killed_takes_back_what_it_made(laptop: Laptop) -> None:
    workspace = laptop.workspace("child")
    words = ("start", str(workspace), "--agent", "shell", "-d", "--name", "kill-child", "--progress", "plain")
    with laptop.popen(*words) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "run gate: started" in line:
                break
        killed = [pid for pid in _children_of(child.pid, "podman") if _killed(pid)]
        said = child.stderr.read()
        code = child.wait()
    assert killed
    if code:
        # What podman itself had not taken note of yet is named, with the command that removes it.
        assert "error: " in said
    laptop.paude("stop", "kill-child", "--discard", code=None)
    assert things("kill-child") == set()


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_verb_has_another(laptop: Laptop) -> None:
    workspace = laptop.workspace("lonely")
    laptop.start(workspace, "--name", "kill-lonely")
    own = json.loads(laptop.paude("supervisor", "status", "-o", "json").stdout)
    os.kill(own["pid"], signal.SIGKILL)
    laptop.inside("kill-lonely", "echo meanwhile > /workspace/meanwhile")
    laptop.paude("stop", "kill-lonely")
    assert (workspace / "meanwhile").read_text() == "meanwhile\n"
    assert things("kill-lonely") == set()
    listed = subprocess.run(["pgrep", "-f", f"{laptop.home}"], capture_output=True, text=True).stdout.split()
    commands = {Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in listed}
    assert not [one for one in commands if b"podman exec" in one]


def test_a_session_whose_containers_and_monitors_were_killed_starts_again_with_what_it_had(laptop: Laptop) -> None:
    workspace = laptop.workspace("hurt")
    laptop.start(workspace, "--name", "kill-hurt")
    laptop.inside("kill-hurt", "echo kept > /home/paude/kept")
    pids = podman("ps", "--filter", "name=paude-kill-hurt-", "--format", "{{.Pid}}").split()
    ids = podman("ps", "--no-trunc", "--filter", "name=paude-kill-hurt-", "--format", "{{.ID}}").split()
    monitors = [pid for one in ids for pid in _monitors_of(one)]
    assert monitors
    for pid in [*monitors, *pids]:
        os.kill(int(pid), signal.SIGKILL)
    laptop.start(workspace)
    assert laptop.inside("kill-hurt", "cat /home/paude/kept") == "kept\n"
    laptop.paude("stop", "kill-hurt")
    assert things("kill-hurt") == set()


def _children_of(pid: int, name: str) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid), name], capture_output=True, text=True)
    return [int(one) for one in listed.stdout.split()]


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _monitors_of(container: str) -> list[str]:
    """The processes (conmon's) that watch this very container."""
    listed = subprocess.run(["pgrep", "-f", f"conmon.*-c {container}"], capture_output=True, text=True)
    return listed.stdout.split()
