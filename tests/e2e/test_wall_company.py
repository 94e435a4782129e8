"""A session in a company's network: a proxy beyond its own, an authority of the company's, a host at a private one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from peers.walled import Walled

from laptop import Admin, Laptop
from world import lab
from world.client import World

pytestmark = pytest.mark.cluster

PODS = "10.78.0.0/20"


@dataclass(frozen=True)
class Inside:
    """The session, and the address by which the company's proxy is known at the sink."""

    session: Walled
    parent: str
    said: str

    def came_from(self, host: str, *options: str) -> set[str]:
        """Who brought a call of the agent to that origin."""
        with self.session.world.watching() as seen:
            path = f"/{self.session.mark}"
            self.session.inside(f"curl -sS -m 10 {' '.join(options)} https://{host}{path} > /dev/null 2>&1; true")
        return {one["client"] for one in seen.asked(host) if one["path"] == path}


@pytest.fixture(scope="module")
def inside(shared_laptop: Laptop) -> Iterator[Inside]:
    assert os.geteuid() == 0
    assert shutil.which("podman")
    world = World()
    with lab.lab() as outside:
        outside.may_reach(PODS)
        with lab.proxy(outside, lab.PARENT):
            workspace = shared_laptop.workspace("company")
            words = ["start", str(workspace), "--agent", "shell", "--detach", "--allow", "allowed.test"]
            words += ["--parent-proxy", f"http://{outside.address}:{lab.OUTER}", "--egress-ca", str(world.ca_path)]
            words += ["--private-allow", "private.test=10.97.13.0/24", "--egress-firewall"]
            said = shared_laptop.paude(*words).stderr
            name = str(shared_laptop.records()[str(workspace)]["name"])
            yield Inside(Walled(shared_laptop, world, name), outside.address, said)


def test_what_is_allowed_goes_through_the_companys_proxy_and_its_authority_is_trusted(inside: Inside) -> None:
    """No --cacert here: the origin's certificate is one of the company's."""
    assert inside.came_from("allowed.test") == {inside.parent}
    assert inside.came_from("forbidden.test") == set()


def test_a_private_host_is_reached_by_the_sessions_own_proxy(inside: Inside, kubectl: Admin) -> None:
    proxies = json.loads(kubectl("get", "pods", "-l", "paude.io/role=proxy", "-o", "json"))["items"]
    (client,) = inside.came_from("private.test")
    assert client in {one["status"]["podIP"] for one in proxies}


def test_every_client_is_told_of_the_companys_authority(inside: Inside) -> None:
    environment = inside.session.inside("env")
    for variable in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert f"{variable}=/" in environment
    assert "BEGIN CERTIFICATE" in inside.session.inside('cat "$SSL_CERT_FILE"')


def test_the_fence_finds_nothing_open(inside: Inside) -> None:
    inside.session.laptop.paude("verify", inside.session.name)


def test_another_list_goes_the_same_way(inside: Inside) -> None:
    assert inside.came_from("other.test") == set()
    inside.session.laptop.paude("allow", "other.test", inside.session.name)
    assert inside.came_from("other.test") == {inside.parent}
    assert inside.came_from("private.test")


def test_an_egress_firewall_that_cannot_be_had_is_a_warning(inside: Inside) -> None:
    assert "no EgressFirewall" in inside.said
