"""A session whose time is up is parked in the cluster without the laptop, and its owner's next command removes it."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest
from peers.waiting import eventually

from laptop import Admin, Laptop
from openshift_space import create
from paude.backends.kubernetes import manifests
from paude.backends.kubernetes.manifests import Identity

pytestmark = pytest.mark.cluster


def row(laptop: Laptop, name: str) -> dict[str, object]:
    rows = json.loads(laptop.paude("sessions", "-o", "json").stdout)["sessions"]
    return next((one for one in rows if one["name"] == name), {})


def parked(laptop: Laptop, name: str, *words: str) -> None:
    """What everybody sees who can see the pod: nobody asks the gate for it."""
    eventually(lambda: row(laptop, name).get("state") == "parked", 60)
    assert all(word in str(row(laptop, name)["reason"]) for word in words), row(laptop, name)


def git(workspace: Path, *words: str) -> str:
    who = ["-c", "user.name=dev", "-c", "user.email=dev@test", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", "-C", str(workspace), *who, *words], capture_output=True, text=True, check=True
    ).stdout


def test_an_idle_session_is_parked_by_its_gate_resumed_by_start_and_goes_when_all_is_home(
    laptop: Laptop, kubectl: Admin
) -> None:
    workspace = laptop.workspace("idle")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        git(workspace, *words)
    name = laptop.start(workspace, "--idle-timeout", "12s")
    identity = "-c user.name=agent -c user.email=agent@test"
    made = laptop.inside(name, f"cd /workspace && git {identity} commit -q --allow-empty -m work && git rev-parse HEAD")
    eventually(lambda: made.strip() in git(workspace, "for-each-ref", f"refs/paude/{name}"), 30)
    laptop.paude("supervisor", "stop")  # the laptop is off
    parked(laptop, name, "idle for 12s")

    stale = json.loads(laptop.paude("cleanup", "--dry-run", "-o", "json").stdout)["stale"]
    assert [(one["name"], one["why"].startswith("idle for 12s")) for one in stale] == [(name, True)]
    assert laptop.start(workspace, "--idle-timeout", "12s") == name
    status = json.loads(laptop.paude("status", name, "-o", "json").stdout)
    assert status["gate"]["leave"], status
    parked(laptop, name, "idle for 12s")

    laptop.paude("cleanup")
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
        f"secret/paude-{name}-laptop",
    }


def test_a_session_without_a_claim_is_not_stopped_while_work_would_be_lost(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("light")
    name = laptop.start(workspace, "--volume", "emptydir", "--storage", "1Gi")
    objects = kubectl.names("-l", f"paude.io/session={name}")
    assert f"pod/paude-{name}-0" in objects
    assert not any(one.startswith("persistentvolumeclaim/") for one in objects)
    laptop.inside(name, "mkdir /workspace/.vscode; echo {} > /workspace/.vscode/tasks.json")

    refused = laptop.paude("stop", name, code=9)
    assert "nothing was deleted" in refused.stderr
    assert f"pod/paude-{name}-0" in kubectl.names("-l", f"paude.io/session={name}")
    laptop.paude("stop", name, "--discard")
    assert kubectl.names("-l", f"paude.io/session={name}") == set()


def test_a_name_of_which_nothing_else_is_left_is_given_back(laptop: Laptop, kubectl: Admin) -> None:
    owner, left = f"owner-{secrets.token_hex(3)}", []
    for _ in range(2):  # what a start has made before its volume, and one whose volume is kept
        who = Identity(f"left-{secrets.token_hex(3)}", secrets.token_hex(8), owner)
        left.append(who.name)
        create(kubectl, "proj-a", manifests.anchor(who, {}))
    create(kubectl, "proj-a", manifests.volume_claim(who, "1Gi", None))
    bare, kept = left
    before = kubectl.names("-l", f"paude.io/session={kept}")

    words = ("cleanup", "--elsewhere", "--owner", owner)
    assert laptop.paude(*words, "--dry-run", "-o", "name").stdout == "", "a start may be under way"
    assert laptop.paude(*words, "--dry-run", "-o", "name", "--older-than", "1s").stdout == f"{bare}\n"
    done = laptop.paude(*words, "--older-than", "1s")

    assert f"{bare} has ended (nothing but its name is left)\n" in done.stderr
    assert kubectl.names("-l", f"paude.io/session={bare}") == set()
    assert kubectl.names("-l", f"paude.io/session={kept}") == before
    kubectl("delete", f"configmap/paude-{kept}", f"persistentvolumeclaim/paude-{kept}")
