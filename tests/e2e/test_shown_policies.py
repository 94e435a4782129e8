"""The wall is taken down by hand: the agent stops by itself, and the user is told why."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.cluster import TMUX, first_processes, in_container
from peers.waiting import eventually

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

PARKED_WITHIN_S = 75.0


@pytest.fixture
def namespace(kubectl: Admin) -> Iterator[str]:
    """One of its own: whoever takes the baseline away opens every session of a namespace."""
    name = f"paude-shown-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    eventually(lambda: kubectl("get", "serviceaccount", "default", "-o", "name", namespace=name, check=False))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_without_policies_the_agent_is_parked_and_the_user_sees_why(
    laptop: Laptop, kubectl: Admin, namespace: str
) -> None:
    laptop.env["KUBECONFIG"] = kubectl.kubeconfig
    name = laptop.start(laptop.workspace("open"), "-n", namespace)
    assert "running" in laptop.paude("status", name).stdout
    tmux = (*TMUX.split(), "has-session", "-t", "agent")
    assert in_container(kubectl, name, "agent", "sh", "-c", f"{' '.join(tmux)} && echo yes", namespace=namespace)

    config = str(laptop.state / "paude" / "ssh_config")
    argv = ["ssh", "-F", config, f"{name}.paude", "echo on; sleep 300"]
    with subprocess.Popen(argv, env=laptop.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"on\n"
        kubectl("delete", "networkpolicy", f"paude-{name}", "paude-baseline", namespace=namespace)
        began = time.monotonic()
        inside.wait(PARKED_WITHIN_S + 30)  # its connection ends with the agent's sshd
        took = time.monotonic() - began
    print(f"parked after {took:.1f} s")  # noqa: T201
    assert took < PARKED_WITHIN_S
    assert "leave taken away" in laptop.paude("logs", name, "-c", "gate").stdout

    facts = json.loads(laptop.paude("status", name, "-o", "json").stdout)
    assert facts["state"] in ("open", "parked")
    assert "fence" in facts["reason"]
    assert facts["fence"]["state"] == "open"
    opened = {target["name"] for target in facts["fence"]["targets"] if target["result"] == "open"}
    assert "canary" in opened
    shown = laptop.paude("sessions")
    assert name in shown.stdout
    assert "running" not in next(line for line in shown.stdout.splitlines() if line.startswith(name))


@pytest.mark.slow
def test_an_agent_whose_gate_hangs_is_parked_and_goes_on_with_the_next_proof(laptop: Laptop) -> None:
    """Nobody looks at the fence and nobody takes leave away: it is over by itself, and the kubelet asks for it too."""
    name = laptop.start(laptop.workspace("unguarded"))
    first = first_processes(name)
    agent = Path(f"/proc/{first['agent']}")
    os.kill(first["gate"], signal.SIGSTOP)
    began = time.monotonic()
    try:
        eventually(lambda: not agent.exists(), PARKED_WITHIN_S, "the agent's end")
        print(f"parked after {time.monotonic() - began:.1f} s")  # noqa: T201
        row = eventually(lambda: _row(laptop, name) if "parked" in _row(laptop, name) else "", 20, "its state")
        assert "running" not in row
    finally:
        os.kill(first["gate"], signal.SIGCONT)
    eventually(lambda: laptop.inside(name, "echo back", code=None).strip() == "back", 90, "the agent, at work again")


def _row(laptop: Laptop, name: str) -> str:
    lines = laptop.paude("sessions").stdout.splitlines()
    return next(line for line in lines if line.startswith(name))
