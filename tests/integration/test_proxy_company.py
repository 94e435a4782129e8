"""A company's network: a proxy beyond the session's own, private hosts. Judged by who arrives where, and who asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paude.egress import squid
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from world import lab, zone
from world.client import Seen, World
from world.visit import fetch, trusting, visit

pytest_plugins = ("world.fixtures",)
pytestmark = [
    pytest.mark.podman,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs root and podman"),
]

PRIVATE_HOST = "private.test=10.97.13.0/24"
LIST = Allowlist(("allowed.test", "other.test", "private.test", "mixed.test", "loopback.test", "shared.test"))


@dataclass(frozen=True)
class Behind:
    """The session's proxy, the company's, and what tells them apart at the sink: their addresses."""

    own: lab.Proxy
    parent: lab.Proxy


@pytest.fixture(scope="module")
def behind(world: World) -> Iterator[Behind]:
    with lab.lab() as inside, lab.lab() as outside, lab.proxy(outside, lab.PARENT) as parent:
        inside.may_reach(outside.address)
        outside.may_reach(inside.address)
        company = Company.of(f"http://{outside.address}:{lab.OUTER}", [PRIVATE_HOST])
        with lab.proxy(inside, squid.files(LIST, squid.Options.of(company))) as own:
            yield Behind(own, parent)


def arrivals(seen: Seen, proxy: lab.Proxy) -> list[str]:
    """What came from it to anybody but the resolver: squid looks an allowed name up even where nobody needs it."""
    return [key for key in seen.outside() if key.endswith(f" {proxy.lab.address}")]


# --- a parent proxy ---------------------------------------------------------------------------------------------------


def test_an_allowed_host_is_reached_through_the_parent_which_alone_asks_for_it(world: World, behind: Behind) -> None:
    with world.watching() as seen:
        connection, status = behind.own.tunnel("allowed.test")
        assert status == 200
        assert fetch(connection, trusting(world), "allowed.test", "allowed.test").endswith(b"hello from allowed.test\n")
    mine = [request for request in seen.asked("allowed.test") if request["client"] == behind.parent.lab.address]
    assert len(mine) == 1
    assert not arrivals(seen, behind.own)
    assert [one for one in seen.queries("allowed.test") if one["client"] == behind.parent.lab.address]


@pytest.mark.parametrize(
    ("host", "sni"),
    [
        ("forbidden.test", "forbidden.test"),
        ("allowed.test", "forbidden.test"),
        ("allowed.test", "other.test"),
        ("allowed.test", None),
        (zone.LITERAL, "allowed.test"),
    ],
)
def test_the_rules_hold_in_front_of_a_parent_that_would_let_everything_through(
    world: World, behind: Behind, host: str, sni: str | None
) -> None:
    with world.watching() as seen:
        assert visit(behind.own, host, sni) == b""
    assert not arrivals(seen, behind.own)
    assert not arrivals(seen, behind.parent)
    mine = {behind.own.lab.address, behind.parent.lab.address}
    assert {one["name"] for one in seen.questions if one["client"] in mine} <= {"allowed.test"}


def test_a_private_host_is_reached_without_the_parent(world: World, behind: Behind) -> None:
    with world.watching() as seen:
        assert visit(behind.own, "private.test", "private.test")
    assert {one["client"] for one in seen.asked("private.test")} == {behind.own.lab.address}


def test_without_its_parent_nothing_gets_out_another_way(world: World, place: lab.Lab) -> None:
    with lab.lab() as nobody:
        place.may_reach(nobody.address)
        company = Company.of(f"http://{nobody.address}:{lab.OUTER}")
        with lab.proxy(place, squid.files(LIST, squid.Options.of(company))) as own, world.watching() as seen:
            assert visit(own, "allowed.test", "allowed.test") == b""
            assert not arrivals(seen, own)


# --- private hosts ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leading(world: World) -> Iterator[lab.Proxy]:
    """A proxy whose `private.test` may lead to its own network; the other one leads there too, and elsewhere."""
    company = Company.of(None, [PRIVATE_HOST, "mixed.test=10.98.0.0/16", "shared.test=10.0.0.0/8"])
    with lab.lab() as inside, lab.proxy(inside, squid.files(LIST, squid.Options.of(company))) as running:
        yield running


def test_a_private_host_is_reached_where_it_may_be(world: World, leading: lab.Proxy, place: lab.Lab) -> None:
    with world.watching(leading.lab.address) as seen:
        assert visit(leading, "private.test", "private.test")
        assert visit(leading, "allowed.test", "allowed.test"), "public hosts are as before"
    assert seen.hits(zone.PRIVATE)
    with lab.proxy(place, squid.files(LIST)) as plain, world.watching(place.address) as seen:
        assert visit(plain, "private.test", "private.test") == b"", "the control: it is the setting that opens it"
    assert seen.outside() == {}


@pytest.mark.parametrize("host", ["mixed.test", "shared.test", "loopback.test"])
def test_nobody_else_leads_there_and_a_private_host_nowhere_else(world: World, leading: lab.Proxy, host: str) -> None:
    """One of its own network, and of another too; one of another private network only; one that was not named."""
    with world.watching(leading.lab.address) as seen:
        assert visit(leading, host, host) == b""
    assert seen.outside() == {}


def test_a_rule_less_lets_a_private_host_lead_astray(world: World, place: lab.Lab) -> None:
    """The control of the one before."""
    options = squid.Options.of(Company.of(None, ["mixed.test=10.98.0.0/16", "shared.test=10.0.0.0/8"]))
    without = {r"^http_access deny lead\d+ astray\d+\n": ""}
    with lab.proxy(place, squid.files(LIST, options), without) as open_, world.watching(place.address) as seen:
        visit(open_, "shared.test", "shared.test")
    assert seen.hits(zone.SHARED)
