"""How long an agent may run: what counts as work, what is said before, and that the gate keeps the limits by itself.

Real gate and agent images in Podman. The limits are seconds here; what is judged is who was parked for which reason.
"""

from __future__ import annotations

import os
import pty
import subprocess

import pytest
from podside.pod import NewPod, Pod, ready, until

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman

PRINTS = "while :; do echo at work; sleep .3; done"
COMPUTES = "while :; do :; done"


def started(new_pod: NewPod, program: str, **limits: str) -> Pod:
    given = {f"PAUDE_{name.upper()}": limit for name, limit in limits.items()}
    pod = ready(new_pod(), **given)
    pod.start_agent("bash", "-c", program, **given)
    pod.release()
    pod.control("await-agent")
    return pod


def reason(pod: Pod) -> str:
    return str(pod.status()["parked"])


def test_an_idle_agent_is_parked_and_says_why(new_pod: NewPod) -> None:
    pod = started(new_pod, "exec sleep 1000", idle_timeout="4s", max_age="1h")
    until(lambda: reason(pod), 60)
    status = pod.status()
    assert reason(pod) == "idle for 4s: no output, no process at work, no traffic"
    assert (status["leave"], status["released"]) == (False, False)
    until(lambda: pod.process("agent") == 0)

    pod.control("release")  # its time begins anew
    assert reason(pod) == ""
    assert pod.status()["life"]["age_s"] < 4


@pytest.mark.parametrize("program", [PRINTS, COMPUTES], ids=["output", "a process at work"])
def test_work_keeps_an_agent_until_it_is_too_old(new_pod: NewPod, program: str) -> None:
    pod = started(new_pod, program, idle_timeout="8s", max_age="20s")
    until(lambda: reason(pod), 60)
    assert reason(pod) == "at its age limit of 20s"


def test_the_terminal_is_warned_and_a_key_keeps_the_session(new_pod: NewPod) -> None:
    pod = started(new_pod, "exec cat", idle_timeout="10s", life_warning="8s")
    ours, theirs = pty.openpty()
    words = [*pod.ssh_words("agent", "-tt"), "tmux", "-S", "/run/paude/tmux.sock", "attach"]
    client = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    try:
        seen = b""
        while b"is parked in" not in seen:
            seen += os.read(ours, 65536)
        until(lambda: "press a key" in (pod.run_gate / "warning").read_text())
        os.write(ours, b"x\r")
        until(lambda: not (pod.run_gate / "warning").exists())
        assert reason(pod) == ""
    finally:
        client.kill()
        client.wait()
        os.close(ours)


def test_without_limits_nobody_looks(new_pod: NewPod) -> None:
    pod = started(new_pod, "exec sleep 1000")
    assert pod.status()["life"] == {"idle_s": 0, "idle_limit_s": 0, "age_s": 0, "age_limit_s": 0}
    assert not (pod.volume / "home/.paude-busy").exists()
