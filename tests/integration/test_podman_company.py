"""A company's network around a session on Podman: its proxy, its authority, a private host, and another list."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator

import pytest

from laptop import Laptop
from podman_machine import podman
from world import lab
from world.client import World

pytestmark = [pytest.mark.podman, pytest.mark.skipif(os.geteuid() != 0, reason="the company's network needs root")]


@pytest.fixture(scope="module")
def parent(laptop: Laptop) -> Iterator[str]:
    """The address of the company's proxy, which is also the one that it has at the origins."""
    network = json.loads(podman("network", "inspect", "podman"))[0]
    with lab.lab() as outside:
        outside.may_reach(network["subnets"][0]["subnet"])
        with lab.proxy(outside, lab.PARENT):
            yield outside.address


def came_from(laptop: Laptop, session: str, host: str) -> set[str]:
    """Who brought a call of the agent to that origin; no --cacert, for the origin's authority is the company's."""
    mark = uuid.uuid4().hex
    laptop.inside(session, f"curl -sS -m 10 https://{host}/{mark} > /dev/null 2>&1; true")
    return {str(one["client"]) for one in World().seen().asked(host) if one["path"] == f"/{mark}"}


def test_the_companys_proxy_authority_and_private_host_are_in_force_and_stay_so_with_another_list(
    laptop: Laptop, parent: str
) -> None:
    words = ["--allow", "allowed.test", "--parent-proxy", f"http://{parent}:{lab.OUTER}"]
    words += ["--egress-ca", str(World().ca_path), "--private-allow", "private.test=10.97.13.0/24", "--timeout", "250"]
    session = laptop.start(laptop.workspace("company"), *words)
    assert came_from(laptop, session, "allowed.test") == {parent}
    private = came_from(laptop, session, "private.test")
    assert private
    assert parent not in private, "a private host is the session's own proxy's"
    assert came_from(laptop, session, "other.test") == set()

    laptop.paude("allow", "other.test", session)
    assert came_from(laptop, session, "other.test") == {parent}
    assert came_from(laptop, session, "private.test") == private
    laptop.paude("stop", session, "--discard")
