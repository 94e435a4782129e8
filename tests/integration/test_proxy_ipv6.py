"""IPv6, in a network namespace: the proxy's rules and the fence's probes. On a cluster: `tests/e2e/test_wall_ipv6.py`.

Each probe is made without its rule too, and arrives then: else its silence would mean nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from paude.egress import squid
from paude.egress.allowlist import Allowlist
from world import lab, zone
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


@pytest.fixture(scope="module")
def proxy(world: World) -> Iterator[lab.Proxy]:
    with lab.lab() as place, lab.proxy(place, squid.files(LIST), resolver=zone.RESOLVER6) as running:
        yield running


def test_an_allowed_host_that_has_ipv6_only_is_reached(world: World, proxy: lab.Proxy) -> None:
    """The control of everything below: the family works."""
    with world.watching(proxy.lab.address6) as seen:
        assert visit(proxy, "six.test", "six.test")
    assert seen.hits(zone.SIX, 443)
    assert seen.hits(zone.RESOLVER6, 53)


@pytest.mark.parametrize(
    "host",
    ["six-private.test", "six-metadata.test", "six-both.test", "six-translated.test", "loopback6.test"],
)
def test_a_name_that_leads_to_a_private_address_is_refused(world: World, proxy: lab.Proxy, host: str) -> None:
    with world.watching(proxy.lab.address, proxy.lab.address6) as seen:
        connection, status = proxy.tunnel(host)
        connection.close()
    assert status == 403
    assert seen.outside() == {}


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
def test_a_literal_is_refused(world: World, proxy: lab.Proxy, address: str) -> None:
    with world.watching(proxy.lab.address, proxy.lab.address6) as seen:
        assert proxy.status(f"CONNECT {address}:443 HTTP/1.1\r\n\r\n".encode()) in (0, 400, 403)
    assert seen.opened == {}


@pytest.mark.parametrize(
    ("host", "address"),
    [("six-private.test", zone.PRIVATE6), ("six-metadata.test", zone.METADATA6)],
)
def test_without_the_rule_for_addresses_they_arrive(world: World, place: lab.Lab, host: str, address: str) -> None:
    with (
        lab.proxy(place, squid.files(LIST), ANYWHERE, resolver=zone.RESOLVER6) as open_,
        world.watching(place.address6) as seen,
    ):
        visit(open_, host, host)
    assert seen.hits(address, 443)


def test_without_the_rules_for_names_a_literal_arrives(world: World, place: lab.Lab) -> None:
    with (
        lab.proxy(place, squid.files(LIST), LITERALS, resolver=zone.RESOLVER6) as open_,
        world.watching(place.address6) as seen,
    ):
        connection, _ = open_.tunnel(f"[{zone.SIX}]")
        connection.close()
        visit(open_, f"[{zone.SIX}]", "six.test")
    assert seen.hits(zone.SIX, 443)


def battery(place: lab.Lab, proxy: lab.Proxy) -> dict[tuple[str, str], str]:
    """What the fence's probes see there, with pings allowed as some clusters have it."""
    inside = ("ip", "netns", "exec", place.name)
    lab.run(*inside, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    words = ("env", f"PAUDE_PROXY={proxy.lab.address}", lab.PROGRAM, "verify", "six.test")
    found = json.loads(lab.run(*inside, *words, check=False))
    return {(probe["name"], probe["address"]): probe["result"] for probe in found}


def test_the_fence_finds_every_way_out_by_ipv6(world: World, proxy: lab.Proxy) -> None:
    """Here nothing is closed: the lab is no pod. So each probe of the family has to find its way open."""
    with world.watching(proxy.lab.address6) as seen:
        found = battery(proxy.lab, proxy)
    assert found["metadata", f"tcp [{zone.METADATA6}]:80"] == "open"
    assert found["metadata", f"icmp {zone.METADATA6}"] == "open"
    assert found["resolver", f"udp [{zone.RESOLVER6}]:53"] == "open"
    assert found["resolver", f"tcp [{zone.RESOLVER6}]:53"] == "open"
    assert found["canary", f"tcp [{proxy.lab.address6}]:3129"] == "open"
    assert seen.hits(zone.METADATA6, 80)
    assert seen.hits(zone.METADATA6, protocol="icmp")


def test_the_fence_finds_them_closed_where_they_are(world: World, place: lab.Lab, proxy: lab.Proxy) -> None:
    """The same from a namespace with an address of the family and no way."""
    place.forget_the_internet()
    with world.watching(place.address, place.address6) as seen:
        found = battery(place, proxy)
    assert found["metadata", f"tcp [{zone.METADATA6}]:80"] == "closed"
    assert found["metadata", f"icmp {zone.METADATA6}"] == "closed"
    assert seen.opened == {}
