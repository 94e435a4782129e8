"""Leave: who gives it, who cannot, and what its going does. Real gate and agent images in Podman."""

from __future__ import annotations

import threading

import pytest
from podside.images import podman
from podside.pod import NewPod, Pod, ready, until

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman


def test_agent_starts_with_leave_and_not_before(gate_of_any_user: Pod) -> None:
    pod = gate_of_any_user
    pod.start_agent("sleep", "1000")
    assert "tmux" not in pod.inside("agent", "ps ax")
    pod.control("seeded")
    assert not pod.status()["leave"], "seeded alone is no leave"
    pod.control("release")
    pod.control("await-agent")
    until(lambda: "sleep 1000" in pod.inside("agent", "ps ax"))
    assert b"paude" in pod.ssh("agent", "id -un").stdout


def test_without_leave_the_agent_ends_by_itself_whatever_ignores_that(gate: Pod) -> None:
    # A program that ignores every polite request, and one that has left its session.
    pod = gate
    pod.start_agent("bash", "-c", "trap '' TERM HUP INT; setsid bash -c 'trap \"\" TERM; sleep 1000' & sleep 1000")
    pod.release()
    pod.control("await-agent")
    until(lambda: pod.inside("agent", "pgrep -cf 'sleep 1000'", check=False).strip() >= "2")
    pod.control("park the user said so")
    until(lambda: pod.process("agent") == 0)
    assert podman("inspect", "-f", "{{.State.ExitCode}}", f"{pod.name}-agent") == "0", "and nobody killed it"
    assert pod.logs("agent").count("the end: no leave") == 1
    status = pod.status()
    assert (status["leave"], status["released"], status["parked"]) == (False, False, "the user said so")


def test_release_waits_until_the_workspace_is_seeded(gate: Pod) -> None:
    codes: list[int] = []
    waiting = threading.Thread(target=lambda: codes.append(gate.ssh("gate", "release").returncode))
    waiting.start()
    until(lambda: gate.status()["released"])
    assert not gate.status()["leave"]
    gate.control("seeded")
    waiting.join(10)
    assert codes == [0]
    assert gate.status()["leave"]


def test_a_gate_with_its_marks_gives_leave_by_itself(gate: Pod) -> None:
    gate.release()
    gate.control("image-ready registry.test/agent:1")
    gate.close()
    for left in gate.run_gate.iterdir():  # a new pod has a new emptyDir
        left.unlink()
    ready(gate)
    status = gate.status()
    assert status["leave"]
    assert status["image_ready"]


def test_another_image_is_not_taken_for_the_one_that_is_ready(gate: Pod) -> None:
    gate.control("image-ready registry.test/agent:1")
    assert (gate.run_gate / "image-ready").exists()
    gate.close()
    ready(gate, PAUDE_AGENT_IMAGE="registry.test/agent:2")
    assert not gate.status()["image_ready"]


def test_a_parked_session_stays_parked_over_a_restart(gate: Pod) -> None:
    gate.release()
    gate.control("park too old")
    gate.close()
    ready(gate)
    assert not gate.status()["leave"]


def test_the_agent_can_neither_write_nor_keep_leave(gate: Pod) -> None:
    pod = gate
    pod.start_agent("sleep", "1000")
    pod.release()
    pod.control("await-agent")
    for attempt in ("touch /run/gate/leave", "rm /run/gate/leave", "touch /run/gate/x", "touch /run/inbox/x"):
        assert "done" not in pod.inside("agent", f"{attempt} && echo done", check=False)
    # PID 1 cannot be stopped, killed, traced or read by its children.
    pod.inside("agent", "kill -STOP 1; kill -KILL 1; kill -QUIT 1; kill -SEGV 1; kill -HUP 1; true")
    assert not pod.inside("agent", "cat /proc/1/environ; ls /proc/1/fd", check=False)
    pod.control("park now")
    until(lambda: pod.process("agent") == 0)


def test_a_volume_of_another_session_is_refused(new_pod: NewPod) -> None:
    pod = ready(new_pod())
    pod.close()
    pod.start_gate(PAUDE_SESSION_UID="ffffffffffffffff")
    until(lambda: pod.process("gate") == 0)
    assert "belongs to another session" in pod.last_words.read_text()


def test_a_volume_that_cannot_be_written_is_named(new_pod: NewPod) -> None:
    pod = new_pod()
    pod.volume.chmod(0o555)
    pod.start_gate()
    until(lambda: pod.process("gate") == 0)
    assert "cannot be written by user 1000700000" in pod.last_words.read_text()


def test_the_gate_ends_when_asked_and_is_not_killed(gate: Pod) -> None:
    podman("stop", "-t", "10", f"{gate.name}-gate")  # after ten seconds with SIGKILL
    assert podman("inspect", "-f", "{{.State.ExitCode}}", f"{gate.name}-gate") == "0"
