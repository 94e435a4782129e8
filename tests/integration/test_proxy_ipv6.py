"""IPv6, in a namespace that has it, for the cluster of the tests has none: the proxy's rules, and the fence's probes.

Each probe is made without its rule too, and arrives then: else its silence would mean nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paude.egress import squid
from paude.egress.allowlist import Allowlist
from world import lab, six, zone
from world.client import World
from world.visit import visit

pytest_plugins = ("world.fixtures",)
pytestmark = [
    pytest.mark.podman,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs root and podman"),
]

NAMES = ("six.test", "six-private.test", "six-metadata.test", "six-both.test", "six-translated.test", "loopback6.test")
LIST = Allowlist(NAMES)
ANYWHERE = {"^http_access deny private\n": ""}
LITERALS = {
    r"^http_access deny (?:address|!name)\n": "",
    "^http_access deny !listed$": "http_access allow CONNECT",
    r"^ssl_bump terminate all$": "ssl_bump splice all",
}


@dataclass(frozen=True)
class Dual:
    """A proxy in a lab with both families, and what arrives by the newer one."""

    proxy: lab.Proxy
    sink: six.Sink


@pytest.fixture(scope="module")
def dual(world: World) -> Iterator[Dual]:
    with (
        lab.lab() as place,
        six.sink(place) as sink,
        lab.proxy(place, squid.files(LIST), resolver=zone.RESOLVER6) as proxy,
    ):
        yield Dual(proxy, sink)


def test_an_allowed_host_that_has_ipv6_only_is_reached(dual: Dual) -> None:
    """The control of everything below: the family works."""
    assert visit(dual.proxy, "six.test", "six.test")
    assert dual.sink.hits(zone.SIX, 443)


@pytest.mark.parametrize(
    "host",
    ["six-private.test", "six-metadata.test", "six-both.test", "six-translated.test", "loopback6.test"],
)
def test_a_name_that_leads_to_a_private_address_is_refused(dual: Dual, host: str) -> None:
    before = dual.sink.outside()
    connection, status = dual.proxy.tunnel(host)
    connection.close()
    assert status == 403
    assert dual.sink.outside() == before


@pytest.mark.parametrize(
    "address",
    [
        f"[{zone.SIX}]",
        zone.SIX,
        "[2001:db8:0:0::66]",
        f"[{zone.PRIVATE6}]",
        "[::ffff:198.51.100.66]",
        "[64:ff9b::a61:d0a]",
    ],
)
def test_a_literal_is_refused(dual: Dual, address: str) -> None:
    before = dual.sink.arrived()
    assert dual.proxy.status(f"CONNECT {address}:443 HTTP/1.1\r\n\r\n".encode()) in (0, 400, 403)
    assert dual.sink.arrived() == before


@pytest.mark.parametrize(
    ("host", "address"),
    [("six-private.test", zone.PRIVATE6), ("six-metadata.test", zone.METADATA6)],
)
def test_without_the_rule_for_addresses_they_arrive(place: lab.Lab, host: str, address: str) -> None:
    with (
        six.sink(place) as sink,
        lab.proxy(place, squid.files(LIST), ANYWHERE, resolver=zone.RESOLVER6) as open_,
    ):
        visit(open_, host, host)
        assert sink.hits(address, 443)


def test_without_the_rules_for_names_a_literal_arrives(place: lab.Lab) -> None:
    with (
        six.sink(place) as sink,
        lab.proxy(place, squid.files(LIST), LITERALS, resolver=zone.RESOLVER6) as open_,
    ):
        connection, _ = open_.tunnel(f"[{zone.SIX}]")
        connection.close()
        visit(open_, f"[{zone.SIX}]", "six.test")
        assert sink.hits(zone.SIX, 443)


def battery(place: lab.Lab, address: str) -> dict[tuple[str, str], str]:
    inside = ("ip", "netns", "exec", place.name, "env", f"PAUDE_PROXY={address}")
    found = json.loads(lab.run(*inside, lab.PROGRAM, "verify", "six.test", check=False))
    return {(probe["name"], probe["address"]): probe["result"] for probe in found}


def test_the_fence_finds_every_way_out_by_ipv6(dual: Dual) -> None:
    """Here nothing is closed: the lab is no pod. So each probe of the family has to find its way open."""
    found = battery(dual.proxy.lab, dual.proxy.lab.address)
    assert found["metadata", f"tcp [{zone.METADATA6}]:80"] == "open"
    assert found["resolver", f"udp [{zone.RESOLVER6}]:53"] == "open"
    assert found["resolver", f"tcp [{zone.RESOLVER6}]:53"] == "open"
    assert found["canary", f"tcp [{six.HERE}]:3129"] == "open"
    assert dual.sink.hits(zone.METADATA6, 80)


def test_the_fence_finds_them_closed_where_they_are(place: lab.Lab, dual: Dual) -> None:
    """The same from a namespace with an address of the family and no way."""
    lab.run("ip", "-n", place.name, "addr", "add", "fd97:7::2/64", "dev", "lab0", "nodad")
    before = dual.sink.outside()
    found = battery(place, dual.proxy.lab.address)
    assert found["metadata", f"tcp [{zone.METADATA6}]:80"] == "closed"
    assert dual.sink.outside() == before
