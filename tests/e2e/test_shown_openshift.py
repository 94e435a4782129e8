"""A namespace that behaves like OpenShift's: it assigns the user, and paude sets none."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from peers.waiting import eventually

from laptop import Admin, Laptop
from openshift_space import INNER, like_openshift
from registry_server import authority, serving

pytestmark = pytest.mark.cluster

SPACE, ASSIGNED = "shift", 1_000_700_000
IDS = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "fsGroupChangePolicy"}


def test_the_pod_runs_as_the_assigned_user_and_no_manifest_sets_one(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("project", {"a.txt": "alpha\n"})
    # Nothing is said of a registry: its public name, its inner one and its authority are the cluster's to tell.
    laptop.env = {key: value for key, value in laptop.env.items() if not key.startswith("PAUDE_REGISTRY")}
    name = laptop.start(workspace, "-n", SPACE)

    assert laptop.inside(name, "id -u").strip() == str(ASSIGNED)
    assert laptop.inside(name, "id -un; id -g").split() == ["paude", "0"]
    for container in ("gate", "agent"):
        user = kubectl("exec", f"paude-{name}-0", "-c", container, "--", "id", "-u", namespace=SPACE)
        assert user.strip() == str(ASSIGNED)

    pod = json.loads(kubectl("get", "pod", f"paude-{name}-0", "-o", "json", namespace=SPACE))
    images = {one["image"] for one in (*pod["spec"]["containers"], *pod["spec"]["initContainers"])}
    assert all(one.startswith(f"{INNER}/{SPACE}/paude-") for one in images)
    # The service account's own opens the inner name, so none is made.
    assert pod["spec"]["imagePullSecrets"] == [{"name": "default-dockercfg"}]

    # As they are stored: only pods are changed on their way in.
    stored = json.loads(kubectl("get", "statefulset,deployment", "-o", "json", namespace=SPACE))["items"]
    assert {f"paude-{name}"} < {one["metadata"]["name"] for one in stored}
    assert [path for one in stored for path in _set(one["spec"])] == []
    pod = json.loads(kubectl("get", "pod", f"paude-{name}-0", "-o", "json", namespace=SPACE))
    assert list(_set(pod["spec"])) != [], "the control: what the namespace assigned is found"

    (workspace / "here.txt").write_text("from the laptop")
    eventually(lambda: laptop.inside(name, "cat here.txt", None) == "from the laptop", what="the edit in the pod")
    laptop.inside(name, "printf there > there.txt; rm a.txt")
    there, gone = workspace / "there.txt", workspace / "a.txt"
    eventually(lambda: there.exists() and not gone.exists(), what="the agent's edits")
    assert there.read_text() == "there"

    laptop.paude("stop", name)
    assert {one for one in kubectl.names(namespace=SPACE) if name in one} == set()


def test_a_public_name_that_another_authority_signs_is_trusted_by_the_systems_store(
    laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    state = Path(cluster_env["PAUDE_TEST_STATE"])
    stranger = authority(tmp_path)
    login = f"  htpasswd: {{realm: registry, path: {state}/htpasswd}}"
    with serving(tmp_path, login, state / "registry") as public, like_openshift(kubectl, public.address) as space:
        workspace = laptop.workspace("second", {"a.txt": "alpha\n"})
        entry = {"auth": base64.b64encode(b"dev:token123").decode()}
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {public.address: entry}}))
        laptop.env = {key: value for key, value in laptop.env.items() if not key.startswith("PAUDE_REGISTRY")}
        laptop.env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")

        refused = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", "-n", space, code=8)
        assert f"the certificate of {public.address} is not trusted" in refused.stderr

        name = laptop.start(workspace, "-n", space, SSL_CERT_FILE=str(stranger))
        assert laptop.inside(name, "cat a.txt") == "alpha\n"
        laptop.paude("stop", name, "--discard")


def _set(value: Any, path: str = "") -> Iterator[str]:
    """Where in an object a user or a group is named."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in IDS:
                yield f"{path}.{key}"
            yield from _set(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _set(inner, path)
