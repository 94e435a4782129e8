"""The EgressFirewall against the real API server, with OVN's own schema for it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from laptop import Admin
from paude import report
from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import firewalls, kubeconfig
from paude.backends.kubernetes.cluster import Cluster
from paude.egress.company import Company
from paude.settings import Paths

pytestmark = [pytest.mark.cluster, pytest.mark.anyio]

STATE = Path(os.environ.get("PAUDE_TEST_STATE", "/var/tmp/paude-cluster"))
KIND = Path(__file__).parents[1] / "cluster/manifests/egressfirewall.yaml"


class Told:
    """What the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, current: int, total: int | None, unit: str) -> None:
        pass


@pytest.fixture(scope="module")
def admin() -> Iterator[Admin]:
    """The cluster has the kind as long as this module runs."""
    admin = Admin(str(STATE / "admin.kubeconfig"))
    admin("apply", "-f", str(KIND))
    admin("wait", "--for=condition=Established", "crd/egressfirewalls.k8s.ovn.org")
    yield admin
    admin("delete", "-f", str(KIND))


@pytest.fixture
def namespace() -> Iterator[str]:
    admin, name = Admin(str(STATE / "admin.kubeconfig")), f"paude-fw-{secrets.token_hex(3)}"
    admin("create", "namespace", name)
    yield name
    admin("delete", "namespace", name, "--wait=false")


@pytest.fixture
def told() -> Iterator[Told]:
    bound = Told()
    token = report.reporter.set(bound)
    yield bound
    report.reporter.reset(token)


@asynccontextmanager
async def connection(directory: Path, namespace: str, context: str = "local") -> AsyncIterator[Cluster]:
    target = kubeconfig.choose([STATE / "tests.kubeconfig"], context=context, namespace=namespace)
    async with clusters.connected(target, Paths(*[directory] * 4)) as cluster:
        yield cluster


async def test_without_the_kind_one_line_says_so(tmp_path: Path, namespace: str, told: Told) -> None:
    """First of the module: the others bring the kind."""
    async with connection(tmp_path, namespace) as cluster:
        await firewalls.ensure(cluster, Company())
        await firewalls.remove(cluster)
    assert "this cluster has no such thing" in told.lines[0]


async def test_it_is_made_kept_up_to_date_and_taken_away(
    tmp_path: Path, admin: Admin, namespace: str, told: Told
) -> None:
    async with connection(tmp_path, namespace) as cluster:
        await firewalls.ensure(cluster, Company())
        await firewalls.ensure(cluster, Company.of("http://10.9.9.9:8080"))
        obj = json.loads(admin("get", "egressfirewall", "default", "-o", "json", namespace=namespace))
        assert [rule["to"]["cidrSelector"] for rule in obj["spec"]["egress"] if rule["type"] == "Allow"] == [
            "10.9.9.9/32",
            "0.0.0.0/0",
            "::/0",
        ]
        await firewalls.remove(cluster)
    assert admin("get", "egressfirewall", "-o", "name", namespace=namespace) == ""
    assert ["made the" in told.lines[0], "up to date" in told.lines[1]] == [True, True]


async def test_somebody_elses_is_neither_changed_nor_removed(
    tmp_path: Path, admin: Admin, namespace: str, told: Told
) -> None:
    theirs = {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressFirewall",
        "metadata": {"name": "default"},
        "spec": {"egress": [{"type": "Deny", "to": {"dnsName": "theirs.test"}}]},
    }
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    admin("apply", "-f", str(tmp_path / "theirs.json"), namespace=namespace)
    async with connection(tmp_path, namespace) as cluster:
        await firewalls.ensure(cluster, Company())
        await firewalls.remove(cluster)
    obj = json.loads(admin("get", "egressfirewall", "default", "-o", "json", namespace=namespace))
    assert obj["spec"] == theirs["spec"]
    assert "not paude's" in told.lines[0]


async def test_who_may_not_is_told_and_not_stopped(tmp_path: Path, admin: Admin, told: Told) -> None:
    """As on OpenShift, where only administrators may."""
    async with connection(tmp_path, "proj-b", "dev") as cluster:
        await firewalls.ensure(cluster, Company())
        await firewalls.remove(cluster)
    assert told.lines[0].startswith("warning: no EgressFirewall")
