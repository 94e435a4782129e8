"""Resolvers that listen on 5353, as OpenShift's do behind a service at 53: the proxy's policy lets it ask them.

The plug-in filters after address translation, so port 53 in a policy is not enough.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.waiting import eventually

from laptop import Admin
from paude.egress import policies
from world import zone

pytestmark = pytest.mark.cluster

DIGEST = "0123456789ab"
ASK = "nslookup allowed.test {server} | grep -F {answer} && nc -w 2 {server} 53 < /dev/null && echo tcp"


def objects(namespace: str) -> list[dict[str, Any]]:
    """A resolver of the namespace's own on 5353 behind a service at 53, and a pod that the proxy's policy selects."""
    corefile = f"test.:5353 {{\n forward . {zone.RESOLVER}\n}}\n"
    quick = {"image": "localhost/coredns:1", "imagePullPolicy": "Never", "args": ["-conf", "/c/Corefile"]}
    mount = {"volumeMounts": [{"name": "c", "mountPath": "/c"}]}
    ports = [{"name": p.lower(), "port": 53, "targetPort": 5353, "protocol": p} for p in ("UDP", "TCP")]
    labels = {"paude.io/role": "proxy", "paude.io/allowlist": DIGEST}
    idle = {"name": "a", "image": "localhost/probe:1", "imagePullPolicy": "Never", "command": ["/bin/sleep", "600"]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"Corefile": corefile}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "resolver", "labels": {"app": "resolver"}},
            "spec": {
                "containers": [{"name": "r", **quick, **mount}],
                "volumes": [{"name": "c", "configMap": {"name": "c"}}],
                "dnsPolicy": "Default",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "resolver"},
            "spec": {"selector": {"app": "resolver"}, "ports": ports, "ipFamilyPolicy": "PreferDualStack"},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "proxy", "labels": labels},
            "spec": {"containers": [idle], "terminationGracePeriodSeconds": 0},
        },
        policies.proxy(DIGEST, namespace, {}),
    ]


@pytest.fixture
def namespace(kubectl: Admin, tmp_path: Path) -> Iterator[str]:
    name = f"paude-dns-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    eventually(lambda: kubectl("get", "serviceaccount", "default", "-o", "name", namespace=name, check=False))
    (tmp_path / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(name)}))
    kubectl("apply", "-f", str(tmp_path / "all.json"), namespace=name)
    kubectl("wait", "--for=condition=Ready", "pod/resolver", "pod/proxy", "--timeout=60s", namespace=name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_proxy_asks_a_resolver_that_listens_on_5353_by_udp_and_tcp(
    kubectl: Admin, namespace: str, tmp_path: Path
) -> None:
    service = json.loads(kubectl("get", "service", "resolver", "-o", "json", namespace=namespace))
    servers = service["spec"]["clusterIPs"]
    assert len(servers) == 2, "one a family"

    def answers(server: str) -> bool:
        command = ASK.format(server=server, answer=zone.ALLOWED)
        said = kubectl("exec", "proxy", "--", "/bin/sh", "-c", command, namespace=namespace, check=False)
        return said.rstrip().endswith("tcp")

    eventually(lambda: all(map(answers, servers)), what="an answer from port 5353")

    only_53 = policies.proxy(DIGEST, namespace, {})
    only_53["spec"]["egress"][0]["ports"] = [
        port for port in only_53["spec"]["egress"][0]["ports"] if port["port"] == 53
    ]
    (tmp_path / "only.json").write_text(json.dumps(only_53))
    kubectl("apply", "-f", str(tmp_path / "only.json"), namespace=namespace)
    eventually(lambda: not any(map(answers, servers)), what="the control: without the rule for 5353 there is no answer")
