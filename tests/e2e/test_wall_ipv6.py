"""The network policies on a cluster with both address families: what denies IPv4 denies IPv6, and opens no more of it.

Bare pods carry a session's labels here, so that the policies alone are judged. Real sessions: `test_wall_proof.py`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import ways
from peers.waiting import eventually

from laptop import Admin
from paude.egress import policies
from world import zone
from world.client import World

pytestmark = pytest.mark.cluster

DIGEST, SESSION, UID = "0123456789ab", "demo", "0123456789abcdef"
AGENT = {"paude.io/session": SESSION, "paude.io/session-uid": UID, "paude.io/role": "agent", "paude.io/wall": "closed"}
PROXY = {"paude.io/role": "proxy", "paude.io/allowlist": DIGEST}
PUBLIC, PRIVATE = {zone.ALLOWED, zone.SIX}, {zone.PRIVATE, zone.PRIVATE6, zone.METADATA, zone.METADATA6}


def idle(name: str, labels: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "a",
        "image": "localhost/probe:1",
        "imagePullPolicy": "Never",
        "command": ["/bin/sleep", "600"],
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@dataclass(frozen=True)
class Space:
    """A namespace with an agent's pod, a proxy's, and their policies."""

    kubectl: Admin
    name: str
    directory: Path

    def __call__(self, *words: str) -> str:
        return self.kubectl(*words, namespace=self.name)

    def apply(self, *objects: dict[str, Any]) -> None:
        file = self.directory / "objects.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self("apply", "-f", str(file))

    def inside(self, pod: str, command: str) -> str:
        return self("exec", pod, "--", "/bin/sh", "-c", command)

    def addresses(self, pod: str) -> list[str]:
        return [one["ip"] for one in json.loads(self("get", "pod", pod, "-o", "json"))["status"]["podIPs"]]


@pytest.fixture
def space(kubectl: Admin, tmp_path: Path) -> Iterator[Space]:
    made = Space(kubectl, f"paude-six-{secrets.token_hex(3)}", tmp_path)
    kubectl("create", "namespace", made.name)
    eventually(lambda: kubectl("get", "serviceaccount", "default", "-o", "name", namespace=made.name, check=False))
    made.apply(
        policies.baseline(made.name),
        policies.session(SESSION, UID, made.name, {}, DIGEST),
        policies.proxy(DIGEST, made.name, {}),
        idle("agent", AGENT),
        idle("proxy", PROXY),
    )
    made("wait", "--for=condition=Ready", "pod/agent", "pod/proxy", "--timeout=60s")
    yield made
    kubectl("delete", "namespace", made.name, "--wait=false")


def test_an_agents_pod_gets_nowhere_by_ipv6_and_everywhere_without_the_policies(space: Space) -> None:
    world = World()
    battery = ways.battery(space.kubectl, space.inside("agent", ways.ROUTES))
    sources = ways.addresses(space.inside("agent", ways.ADDRESSES))
    assert len(sources) > 1, "one address of the cluster's, one of the link"

    with battery.watching(world, *sources) as arrived:
        space.inside("agent", battery.busybox())
    assert arrived == set()

    space("label", "pod", "agent", "paude.io/wall=open", "--overwrite")

    def closed() -> set[str]:
        with battery.watching(world, *sources) as arrived:
            space.inside("agent", battery.busybox())
        return battery.names - arrived

    eventually(lambda: not closed(), what="the control, that without the policies all of them arrive,")


def test_a_proxys_pod_reaches_public_addresses_of_both_families_and_no_private_one(space: Space) -> None:
    world, sources = World(), space.addresses("proxy")

    def reached() -> set[str]:
        dials = "".join(f"nc -w 1 {address} 443 < /dev/null & " for address in PUBLIC | PRIVATE)
        with world.watching(*sources) as seen:
            space.inside("proxy", f"({dials} wait) > /dev/null 2>&1; true")
        return {address for address in PUBLIC | PRIVATE if seen.hits(address, 443)}

    eventually(lambda: reached() >= PUBLIC, what="a way to public addresses")
    assert reached() == PUBLIC

    forgetful = policies.proxy(DIGEST, space.name, {})
    for peer in forgetful["spec"]["egress"][1]["to"]:
        if ":" in peer["ipBlock"]["cidr"]:
            del peer["ipBlock"]["except"]
    space.apply(forgetful)
    wanted = PUBLIC | {address for address in PRIVATE if ":" in address}
    eventually(lambda: reached() == wanted, what="the control: a rule that forgets IPv6 lets them be reached")
