"""The wall, tried from inside on demand; opened by others on purpose; left out when the user wants none."""

from __future__ import annotations

import json
import secrets
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from peers import ways
from peers.cluster import network_of, pod
from peers.waiting import eventually
from peers.walled import Walled

from laptop import Admin, Laptop
from world import zone
from world.client import World

pytestmark = pytest.mark.cluster

OPENING = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
OPENING6 = {**OPENING, "egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}]}
# What a project template gives every project, as OpenShift's documentation has it. The last only denies.
TEMPLATE = {
    "allow-from-same-namespace": [{"from": [{"podSelector": {}}]}],
    "allow-from-openshift-ingress": [
        {"from": [{"namespaceSelector": {"matchLabels": {"network.openshift.io/policy-group": "ingress"}}}]}
    ],
    "allow-from-openshift-monitoring": [
        {"from": [{"namespaceSelector": {"matchLabels": {"network.openshift.io/policy-group": "monitoring"}}}]}
    ],
    "deny-by-default": [],
}
AROUND = {"canary", "metadata", "node-resolver", "resolver", "api-server", "kubelet", "node", "socket"}
THROUGH = {"unlisted name", "no tunnel", "address", "management", "port", "foreign server name", "no server name"}
PARKED_WITHIN_S = 75.0


@pytest.fixture
def namespace(kubectl: Admin) -> Iterator[str]:
    """One of its own: other people's policies concern every session of a namespace."""
    name = f"paude-wall-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    eventually(lambda: kubectl("get", "serviceaccount", "default", "-o", "name", namespace=name, check=False))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def verify(laptop: Laptop, name: str, code: int) -> dict[str, set[str]]:
    """The names of the probes by what they saw."""
    done = laptop.paude("verify", name, "-o", "json", code=code)
    found: dict[str, set[str]] = {}
    for probe in json.loads(done.stdout)["probes"]:
        found.setdefault(probe["result"], set()).add(probe["name"])
    return found


def policy(kubectl: Admin, namespace: str, name: str, spec: dict[str, Any], tmp: str) -> None:
    meta = {"name": name, "namespace": namespace}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
    file = f"{tmp}/{name}.json"
    with open(file, "w") as out:
        json.dump(body, out)
    kubectl("apply", "-f", file, namespace=namespace)


def test_every_way_out_is_closed_and_one_policy_of_somebody_else_opens_them_parks_and_refuses(
    laptop: Laptop, kubectl: Admin, namespace: str
) -> None:
    laptop.env["KUBECONFIG"] = kubectl.kubeconfig
    world, workspace = World(), laptop.workspace("project")
    name = laptop.start(workspace, "-n", namespace, "--allow", "allowed.test")
    addresses = [one["ip"] for one in pod(kubectl, name, namespace)["status"]["podIPs"]]
    allow_pings(addresses[0])

    with world.watching(*addresses) as seen:
        found = verify(laptop, name, 0)
    assert found["closed"] >= (AROUND | THROUGH | {"not TLS"}) - {"kubelet", "node"}
    assert found.get("warning", set()) <= {"kubelet", "node"}
    assert found.keys() <= {"closed", "warning"}
    assert seen.opened == {}

    policy(kubectl, namespace, "for-ipv6", OPENING6, str(laptop.home))
    with world.watching(*addresses) as seen:
        ends = opened(laptop, name, "canary", "resolver", "metadata")
    assert all("[" in end or end == f"icmp {zone.METADATA6}" for _, end in ends), "by IPv6, and nothing by IPv4"
    assert seen.hits(zone.METADATA6, 80)
    assert seen.hits(zone.METADATA6, protocol="icmp")
    kubectl("delete", "networkpolicy", "for-ipv6", namespace=namespace)

    policy(kubectl, namespace, "somebody-elses", OPENING, str(laptop.home))
    with world.watching(*addresses) as seen:
        opened(laptop, name, "canary", "resolver", "api-server", "metadata")
    assert seen.hits(zone.METADATA, 80), "the control: these probes do get there"

    eventually(lambda: laptop.paude("exec", name, "--no-tty", "--", "true", code=None).returncode, PARKED_WITHIN_S)
    facts = json.loads(laptop.paude("status", name, "-o", "json").stdout)
    assert facts["state"] in ("open", "parked")
    assert any("somebody-elses" in warning for warning in facts["warnings"])

    other = laptop.workspace("other")
    refused = laptop.paude("start", str(other), "--agent", "shell", "--detach", "-n", namespace, code=3)
    assert "the network policy somebody-elses opens ways out" in refused.stderr
    assert str(other) not in laptop.records()

    kubectl("delete", "networkpolicy", "somebody-elses", namespace=namespace)
    for template, ingress in TEMPLATE.items():
        spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress}
        policy(kubectl, namespace, template, spec, str(laptop.home))
    eventually(lambda: laptop.paude("verify", name, code=None).returncode == 0, 20, "a clean wall")
    resumed = laptop.paude("start", str(workspace), "--agent", "shell", "--detach")
    for template, ingress in TEMPLATE.items():
        assert (f"{template} lets others in" in resumed.stderr) is bool(ingress), template
    assert laptop.inside(name, "echo works").strip() == "works"


def opened(laptop: Laptop, name: str, *wanted: str) -> set[tuple[str, str]]:
    """The open probes and their addresses, once these are open: the network plug-in takes a moment for a new policy."""

    def look() -> set[tuple[str, str]] | None:
        done = laptop.paude("verify", name, "-o", "json", code=None)
        probes = json.loads(done.stdout)["probes"] if done.stdout else []
        found = {(probe["name"], probe["address"]) for probe in probes if probe["result"] == "open"}
        return found if {probe for probe, _ in found} >= {*wanted} else None

    return eventually(look, what="an open wall, seen")


def allow_pings(address: str) -> None:
    """Some clusters give containers sockets for pings; here one pod gets them, for its probes to mean something."""
    sysctl = ("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    subprocess.run(["ip", "netns", "exec", network_of(address), *sysctl], check=True)


def ways_open(session: Walled, kubectl: Admin) -> tuple[set[str], set[str]]:
    """Which ways out over IPv6 led somewhere when a program of the agent took them, and all that there are."""
    allow_pings(pod(kubectl, session.name)["status"]["podIP"])
    battery = ways.battery(kubectl, session.inside(ways.ROUTES))
    with battery.watching(session.world, *ways.addresses(session.inside(ways.ADDRESSES))) as arrived:
        session.inside(battery.bash())
    return arrived, battery.names


def test_a_session_without_a_wall_says_so_and_reaches_what_it_wants(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("free")
    said = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", "--allow-network").stderr
    assert "warning: no wall" in said
    name = str(laptop.records()[str(workspace)]["name"])
    free = Walled(laptop, World(), name).prepare()
    assert free.arrives("forbidden.test"), "by name, with the cluster's own DNS, and no proxy"
    assert "PROXY" not in laptop.inside(name, "env").upper()
    arrived, every = ways_open(free, kubectl)
    assert arrived == every, "the control of the next test"

    labels = pod(kubectl, name)["metadata"]["labels"]
    assert labels["paude.io/wall"] == "open"
    assert "paude.io/uses" not in labels
    (row,) = [
        one for one in json.loads(laptop.paude("sessions", "-o", "json").stdout)["sessions"] if one["name"] == name
    ]
    assert row["wall"] == "open"
    assert "no wall" in laptop.paude("status", name).stdout

    for words in (("allow", "allowed.test", name), ("verify", name), ("egress", "show", name)):
        assert "no wall" in laptop.paude(*words, code=2).stderr
    again = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", code=2)
    assert "cannot be changed while it runs" in again.stderr
    assert free.arrives("forbidden.test"), "a refused switch changes nothing"


def test_a_walled_session_does_not_lose_its_wall_while_it_runs(laptop: Laptop, kubectl: Admin) -> None:
    workspace = laptop.workspace("held")
    name = laptop.start(workspace)
    refused = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", "--allow-network", code=2)
    assert "cannot be changed while it runs" in refused.stderr
    assert pod(kubectl, name)["metadata"]["labels"]["paude.io/wall"] == "closed"
    held = Walled(laptop, World(), name)
    assert not held.arrives("forbidden.test")
    assert ways_open(held, kubectl)[0] == set()
    assert held.inside(f"getent hosts {uuid.uuid4().hex}.test; true") == ""
