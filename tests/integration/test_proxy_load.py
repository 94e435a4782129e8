"""A client that opens thousands of tunnels and leaves them: the proxy goes on, for others and for that client."""

from __future__ import annotations

import os
import shutil

import pytest

from paude.egress import squid
from paude.egress.allowlist import Allowlist
from world import lab, load
from world.client import World
from world.visit import visit

pytest_plugins = ("world.fixtures",)
pytestmark = [
    pytest.mark.podman,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs root and podman"),
]

FLOOD = 5000
FILES = Allowlist(("allowed.test",))


def elsewhere(place: lab.Lab, proxy: lab.Proxy) -> bool:
    """Whether another client, with an address of its own, gets a page through the proxy."""
    place.may_reach(proxy.lab.address)
    proxy.lab.may_reach(place.address)
    url = "https://allowed.test/"
    words = ("curl", "-sS", "-k", "-m", "10", "-x", f"http://{proxy.lab.address}:{lab.OUTER}", url)
    return "hello" in lab.run("ip", "netns", "exec", place.name, *words, check=False)


def test_five_thousand_idle_tunnels_of_one_client_leave_room_for_others(world: World, place: lab.Lab) -> None:
    load.may_open(FLOOD + 500)
    with lab.lab() as inside, lab.proxy(inside, squid.files(FILES)) as proxy:
        with load.crowd(proxy.address, "allowed.test", FLOOD) as statuses:
            assert len(statuses) == FLOOD
            opened = statuses.count(200)
            assert squid.MOST_TUNNELS - 5 <= opened <= squid.MOST_TUNNELS + 5, "the control: so many it may have"
            assert statuses.count(403) == FLOOD - opened, "and the rest is refused at once, not left hanging"
            assert elsewhere(place, proxy)
        assert visit(proxy, "allowed.test", "allowed.test"), "and the same client again, once they are gone"


def test_without_the_limit_they_take_the_room_of_others(world: World, place: lab.Lab) -> None:
    """The control: this is what the limit is for."""
    load.may_open(FLOOD + 500)
    without = {"^http_access deny outer crowd\n": ""}
    with (
        lab.lab() as inside,
        lab.proxy(inside, squid.files(FILES), without) as proxy,
        load.crowd(proxy.address, "allowed.test", FLOOD) as statuses,
    ):
        assert statuses.count(200) > 2 * squid.MOST_TUNNELS
