"""A session whose time is up is parked in the cluster without the laptop, and its owner's next command removes it."""

from __future__ import annotations

import json

import pytest
from peers.waiting import eventually

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster


def row(laptop: Laptop, name: str) -> dict[str, object]:
    rows = json.loads(laptop.paude("sessions", "-o", "json").stdout)["sessions"]
    return next((one for one in rows if one["name"] == name), {})


def parked(laptop: Laptop, name: str, *words: str) -> None:
    """What everybody sees who can see the pod: nobody asks the gate for it."""
    eventually(lambda: row(laptop, name).get("state") == "parked", 60)
    assert all(word in str(row(laptop, name)["reason"]) for word in words), row(laptop, name)


def test_an_idle_session_is_parked_by_its_gate_and_resumed_by_start(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("idle")
    name = laptop.start(workspace, "--idle-timeout", "6s")
    laptop.paude("supervisor", "stop")  # the laptop is off
    parked(laptop, name, "idle for 6s")

    stale = json.loads(laptop.paude("cleanup", "--dry-run", "-o", "json").stdout)["stale"]
    assert [(one["name"], one["why"].startswith("idle for 6s")) for one in stale] == [(name, True)]
    assert laptop.start(workspace, "--keep") == name
    status = json.loads(laptop.paude("status", name, "-o", "json").stdout)
    assert status["gate"]["leave"], status

    laptop.paude("cleanup", "--older-than", "0s")
    assert kubectl.names("-l", f"paude.io/session={name}") == set()


def test_a_start_removes_what_had_its_time_and_keeps_a_volume_with_work(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("old")
    name = laptop.start(workspace, "--max-age", "15s")
    laptop.inside(name, "mkdir /workspace/.vscode; echo {} > /workspace/.vscode/tasks.json")
    parked(laptop, name, "at its age limit of 15s")

    done = laptop.paude("start", str(laptop.workspace("next")), "--agent", "shell", "--detach")

    assert f"{name} has ended (at its age limit of 15s); its volume was kept: .vscode" in done.stderr
    assert kubectl.names("-l", f"paude.io/session={name}") == {
        f"persistentvolumeclaim/paude-{name}",
        f"configmap/paude-{name}",
    }
