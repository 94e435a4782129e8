"""A namespace that behaves as OpenShift's do, and what stands in for the parts of OpenShift around it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laptop import Admin

INNER_HOST, INNER_PORT = "image-registry.openshift-image-registry.svc", 5000
INNER = f"{INNER_HOST}:{INNER_PORT}"
OF_THE_REGISTRY = "openshift-image-registry"


@contextmanager
def like_openshift(kubectl: Admin, public: str | None) -> Iterator[str]:
    """A namespace that behaves as OpenShift's, and whose registry has that public name, or none."""
    space = f"shift-{secrets.token_hex(3)}"
    script = Path(__file__).parent / "cluster/openshift"
    objects = subprocess.run([script, space, "1000800000"], check=True, capture_output=True, text=True).stdout
    named = rf"\g<1>{public}" if public else "# no route: "
    objects, found = re.subn(r"(publicDockerImageRepository: )[^/]+", named, objects)
    assert found == 1
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(objects)
        file.flush()
        kubectl("apply", "--server-side", "-f", file.name, namespace=space)
        try:
            kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s", namespace=space)
            pulls = json.dumps({"imagePullSecrets": [{"name": "default-dockercfg"}]})
            kubectl("patch", "serviceaccount", "default", "-p", pulls, namespace=space)
            yield space
        finally:
            kubectl("delete", "--wait=false", "--ignore-not-found", "-f", file.name, namespace=space)


def publish(kubectl: Admin, space: str, name: str, key: str, *authorities: Path) -> None:
    """What the cluster's controllers write into every namespace; kept as it is, whatever they write next."""
    kubectl("wait", "--for=create", "configmap/kube-root-ca.crt", "--timeout=30s", namespace=space)
    bundle = "".join(one.read_text() for one in authorities)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: bundle}}
    create(kubectl, space, {**body, "immutable": True})


@contextmanager
def inner_name(kubectl: Admin, image: str, address: str) -> Iterator[None]:
    """A pod where OpenShift's registry has its own, under its inner name: it leads to a server of this machine."""
    name, labels = "image-registry", {"docker-registry": "default"}
    host, _, port = address.rpartition(":")
    forward = ["nc", "-ll", "-p", str(INNER_PORT), "-e", "nc", host, port]
    container = {"name": "registry", "image": image, "imagePullPolicy": "Never", "command": forward}
    probe = {"tcpSocket": {"port": INNER_PORT}, "periodSeconds": 1}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{**container, "readinessProbe": probe}]}
    service = {"selector": labels, "ports": [{"port": INNER_PORT}]}
    create(
        kubectl,
        OF_THE_REGISTRY,
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": pod},
    )
    try:
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", namespace=OF_THE_REGISTRY)
        yield
    finally:
        kubectl("delete", f"service/{name}", f"pod/{name}", namespace=OF_THE_REGISTRY)


def create(kubectl: Admin, space: str, *objects: dict[str, Any]) -> None:
    """Make the objects, or make them so."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file)
        file.flush()
        kubectl("apply", "--server-side", "--force-conflicts", "-f", file.name, namespace=space)
