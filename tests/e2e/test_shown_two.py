"""More than one: two sessions with one proxy, and two terminals on one session."""

from __future__ import annotations

import json

import pytest
from peers.terminal import attached

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

# A list that no other test has, so that the proxy is these sessions' alone.
LIST = ("--allow", "allowed.test", "--allow", "two-sessions.test")


async def test_two_sessions_share_a_proxy_that_lives_as_long_as_the_last_of_them(
    laptop: Laptop, kubectl: Admin
) -> None:
    here, there = laptop.workspace("here", {"a": "here\n"}), laptop.workspace("there", {"a": "there\n"})
    one = laptop.start(here, *LIST)
    proxy = _proxy(kubectl, one)
    before = _pods(kubectl, proxy)
    assert len(before) == 1

    other = laptop.start(there, *LIST)
    assert _proxy(kubectl, other) == proxy
    assert _pods(kubectl, proxy) == before, "the second session restarted the first one's proxy"
    services = {f"service/paude-{name}-proxy" for name in (one, other)}
    assert services <= kubectl.names()
    assert laptop.inside(one, "cat a") == "here\n"
    assert laptop.inside(other, "cat a") == "there\n"
    assert laptop.paude("exec", "--no-tty", "--", "cat", "a").stdout == "there\n"  # the most recent is the default

    async with attached(laptop, one) as left, attached(laptop, one) as right:
        await left.shell("echo typed=$((40+2))", "typed=42")
        await right.user.sees(b"typed=42")
        await right.shell("echo answered=$((40+3))", "answered=43")
        await left.user.sees(b"answered=43")
        assert right.process.poll() is None

    laptop.paude("stop", one)
    assert _pods(kubectl, proxy) == before
    assert laptop.inside(other, _REFUSED).strip() == "403"  # its proxy still answers it
    assert laptop.records().keys() == {str(there)}

    laptop.paude("stop", other)
    assert {name for name in kubectl.names() if proxy in name and not name.startswith("pod/")} == set()


_REFUSED = "curl -sS -m 10 -o /dev/null -w '%{http_connect}' https://unlisted.test/ 2>/dev/null; true"


def _proxy(kubectl: Admin, session: str) -> str:
    service = json.loads(kubectl("get", "service", f"paude-{session}-proxy", "-o", "json"))
    return f"paude-proxy-{service['spec']['selector']['paude.io/allowlist']}"


def _pods(kubectl: Admin, proxy: str) -> set[str]:
    """The uids of the proxy's pods."""
    digest = proxy.removeprefix("paude-proxy-")
    words = ("get", "pod", "-l", f"paude.io/role=proxy,paude.io/allowlist={digest}", "-o", "json")
    return {pod["metadata"]["uid"] for pod in json.loads(kubectl(*words))["items"]}
