"""The fence against a real wall: packet filters in the pod's own network that a test can tear down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from podside.images import podman
from podside.pod import NewPod, Pod, until

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman

PEERS = Path(__file__).parent / "podside/peers.py"
PLACES = {"PAUDE_FENCE": "on", "PAUDE_PROXY": "127.0.0.9", "KUBERNETES_SERVICE_HOST": "127.0.0.11"}
FENCE = PLACES | {"KUBERNETES_SERVICE_PORT": "443", "PAUDE_FENCE_INTERVAL": "1s"}
PARKED_WITHIN_S = 75.0
# Each stands for one hole in a policy.
HOLES = {
    "canary": ("-d", "127.0.0.9", "-p", "tcp", "--dport", "3129"),
    "api-server": ("-d", "127.0.0.11", "-p", "tcp", "--dport", "443"),
    "resolver tcp": ("-d", "127.0.0.10", "-p", "tcp", "--dport", "53"),
    "resolver udp": ("-d", "127.0.0.10", "-p", "udp", "--dport", "53"),
}


HOG = """
import socket, time
tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
tcp.bind(("", 61000))
udp.bind(("", 61000))
time.sleep(60)
"""


@contextmanager
def _peers(pod: Pod, proxy: str = "proxy") -> Iterator[subprocess.Popen[str]]:
    words = pod.in_network(sys.executable, "-IS", str(PEERS), proxy)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def _filter(pod: Pod, change: str, what: tuple[str, ...], how: str = "DROP") -> None:
    uid = pod.user.split(":")[0]
    words = pod.in_network("iptables", "-w", change, "OUTPUT", "-m", "owner", "--uid-owner", uid, *what, "-j", how)
    subprocess.run(words, check=True, capture_output=True)


def _wall(pod: Pod, how: str = "DROP") -> None:
    for what in HOLES.values():
        _filter(pod, "-A", what, how)


def _walled(new_pod: NewPod) -> Pod:
    """A pod with the wall up before anything probes: its network is there once the gate's container is."""
    pod = new_pod()
    pod.start_gate(**FENCE)
    _wall(pod)
    until(lambda: pod.ssh("gate", "status").returncode == 0)
    return pod


def test_leave_comes_with_the_proof_and_goes_with_the_first_hole(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    with _peers(pod):
        pod.start_agent("sleep", "1000")
        pod.release()
        assert pod.status()["fence"]["state"] == "clean"
        assert json.loads((pod.run_gate / "fence.json").read_text())["allowlist"] == "0123456789ab"
        pod.control("await-agent")
        _filter(pod, "-D", HOLES["canary"])
        until(lambda: pod.process("agent") == 0, 6)
        status = pod.status()
        assert status["fence"]["state"] == "open"
        assert status["parked"] == "the fence is open: canary tcp 127.0.0.9:3129"
        assert pod.ssh("gate", "release").returncode == 3


def test_an_agent_whose_gate_hangs_or_ends_again_and_again_is_parked(new_pod: NewPod) -> None:
    """Nobody looks at the fence then, and nobody takes leave away: it is over by itself."""
    hanging, ending = _walled(new_pod), _walled(new_pod)
    with _peers(hanging), _peers(ending):
        for pod in (hanging, ending):
            pod.start_agent("sleep", "1000", restart=pod is hanging)
            pod.release()
            pod.control("await-agent")
        agents = [Path(f"/proc/{pod.process('agent')}") for pod in (hanging, ending)]
        gate = hanging.process("gate")
        os.kill(gate, signal.SIGSTOP)
        try:
            (ending.volume / "gate/session").write_text("of another session\n")  # so that each start of it fails
            podman("kill", f"{ending.name}-gate")
            began, starts = time.monotonic(), 0
            while any(agent.exists() for agent in agents):
                assert time.monotonic() - began < PARKED_WITHIN_S, agents
                if starts < 5 and not ending.process("gate"):
                    podman("start", f"{ending.name}-gate")
                    starts += 1
                time.sleep(0.5)
            assert starts == 5
            assert all((pod.run_gate / "leave").exists() for pod in (hanging, ending)), "nobody took it away"
            assert "leave is there" not in hanging.logs("agent").partition("the end: no leave")[2]
        finally:
            os.kill(gate, signal.SIGCONT)
        hanging.control("await-agent")  # the next proof is the next leave, for the container that waits


def test_every_hole_is_seen(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    with _peers(pod):
        for hole, what in HOLES.items():
            until(lambda: pod.status()["fence"]["state"] == "clean")
            _filter(pod, "-D", what)
            until(lambda: pod.status()["fence"]["state"] == "open", 6)
            found = [f"{t['name']} {t['address']}" for t in pod.status()["fence"]["targets"] if t["result"] == "open"]
            _filter(pod, "-A", what)
            name, _, network = hole.partition(" ")
            assert [f for f in found if f.startswith(f"{name} {network or 'tcp'} ")] == found, found


def test_a_proxy_that_goes_is_told_and_stops_nobody(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    with _peers(pod):
        pod.release()
    with _peers(pod, "no-proxy"):
        until(lambda: pod.status()["fence"]["state"] == "proxy-unreachable")
        assert pod.status()["leave"]
        _filter(pod, "-D", HOLES["api-server"])
        until(lambda: not pod.status()["leave"], 6)  # its absence hides no hole


def test_probes_that_cannot_be_sent_are_no_proof(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    with _peers(pod):
        pod.release()
        # What an agent could do to hide a hole: leave the pod no port to probe from.
        words = pod.in_network("sysctl", "-qw", "net.ipv4.ip_local_port_range=61000 61000")
        subprocess.run(words, check=True)
        with subprocess.Popen(pod.in_network(sys.executable, "-IS", "-c", HOG)) as child:
            try:
                until(lambda: not (pod.run_gate / "leave").exists(), 20)
            finally:
                child.kill()
    assert "cannot be proven" in (pod.run_gate / "parked").read_text()


def _waits_for_a_file(pod: Pod, container: str) -> bool:
    """Whether PID 1 of the container watches a directory: the fence does when it waits for the image alone."""
    fds = Path(f"/proc/{pod.process(container)}/fdinfo").glob("*")
    return any("inotify wd" in fd.read_text() for fd in fds)


def test_the_start_waits_for_proof_and_image(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    fence = pod.start_fence(**FENCE)
    until(lambda: "waiting for the proxy" in pod.logs("fence"))
    assert fence.poll() is None, "without a proxy nothing is proven"
    assert not _waits_for_a_file(pod, "fence")
    with _peers(pod):
        until(lambda: _waits_for_a_file(pod, "fence"), 30)
        assert fence.poll() is None, "the image is not there yet"
        assert pod.last_words.read_text() == ""
        pod.control("image-ready registry.test/agent:1")
        assert fence.wait(10) == 0
    assert json.loads(pod.last_words.read_text())["state"] == "clean"


@pytest.mark.slow
def test_an_open_fence_fails_the_start(new_pod: NewPod) -> None:
    pod = _walled(new_pod)
    _filter(pod, "-D", HOLES["resolver udp"])
    with _peers(pod):
        fence = pod.start_fence(**FENCE)
        assert fence.wait(40) == 3
    verdict = json.loads(pod.last_words.read_text())
    assert verdict["state"] == "open"
    assert {"name": "resolver", "address": "udp 127.0.0.10:53", "result": "open"} in verdict["targets"]


def test_a_wall_that_comes_late_is_waited_for(new_pod: NewPod) -> None:
    pod = new_pod()
    pod.start_gate(**FENCE)
    with _peers(pod):
        until(lambda: any(t["result"] == "open" for t in pod.status()["fence"]["targets"]))
        assert pod.status()["fence"]["state"] == "unknown"
        _wall(pod, "REJECT")
        pod.release()
        assert pod.status()["leave"]
