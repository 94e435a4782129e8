"""The list of hosts changes while the agent works: judged at the origins, and another session never notices."""

from __future__ import annotations

import json
import secrets
import subprocess

import pytest
from peers.waiting import eventually
from peers.walled import Walled, wall_of

from laptop import Admin, Laptop
from world.client import World

pytestmark = pytest.mark.cluster

LIST = ("--allow", "allowed.test", "--allow", f"nobody-{secrets.token_hex(4)}.test")


@pytest.fixture(scope="module")
def pair(shared_laptop: Laptop) -> tuple[Walled, Walled]:
    """Two sessions with the same list, so with the same proxy, which nobody else has."""
    world = World()
    names = [shared_laptop.start(shared_laptop.workspace(name), *LIST) for name in ("mine", "theirs")]
    one, other = (Walled(shared_laptop, world, name).prepare() for name in names)
    return one, other


def test_an_allowed_host_is_reached_from_then_on_and_by_that_session_only(
    pair: tuple[Walled, Walled], kubectl: Admin
) -> None:
    mine, theirs = pair
    assert not mine.arrives("other.test")
    assert mine.arrives("allowed.test")
    before = wall_of(kubectl, theirs.name)
    theirs.keeps_calling("allowed.test", "steady")

    said = mine.laptop.paude("allow", "other.test", mine.name).stderr
    assert "other.test" in said
    assert mine.arrives("other.test")
    assert mine.arrives("allowed.test")

    assert wall_of(kubectl, theirs.name) == before
    assert not theirs.arrives("other.test")
    calls = theirs.calls("steady")
    eventually(lambda: theirs.calls("steady") > calls + 3, 5, "the other session's calls, undisturbed")


def test_no_call_is_lost_while_a_host_is_added(pair: tuple[Walled, Walled]) -> None:
    """New connections, one after the other, during the whole change: not one is refused or left hanging."""
    mine, _ = pair
    curl = "curl -sS -m 5 --cacert /tmp/world.crt -o /dev/null https://allowed.test/"
    loop = (
        f"while [ ! -e /tmp/stop ]; do {curl} || echo lost; sleep 0.05; done > /tmp/calls 2>&1; echo end >> /tmp/calls"
    )
    mine.inside(f"rm -f /tmp/stop; setsid bash -c '{loop}' > /dev/null 2>&1 < /dev/null &")
    mine.laptop.paude("allow", "registry.origin.test", mine.name)
    mine.inside("touch /tmp/stop; for i in $(seq 100); do grep -q end /tmp/calls && exit 0; sleep 0.1; done; exit 1")
    assert mine.arrives("registry.origin.test")
    # The one call that was under way through the old proxy may end with it; none that began later is lost.
    assert mine.inside("grep -c lost /tmp/calls; true").strip() in {"0", "1"}


def test_a_denied_host_is_left_by_open_connections_too_and_the_other_session_just_reconnects(
    pair: tuple[Walled, Walled], kubectl: Admin
) -> None:
    mine, theirs = pair
    for host in ("other.test", "registry.origin.test"):
        mine.laptop.paude("deny", host, mine.name)
    assert (
        wall_of(kubectl, mine.name)["service"]["labels"]["paude.io/serves"]
        == (wall_of(kubectl, theirs.name)["service"]["labels"]["paude.io/serves"])
    ), "both have the first list again, so one proxy"
    mine.keeps_calling("allowed.test", "doomed")
    before = wall_of(kubectl, theirs.name)

    mine.laptop.paude("deny", "allowed.test", mine.name)
    arrived, steady = mine.calls("doomed"), theirs.calls("steady")
    # Both call equally often: in the time of these, as many more of its own would have arrived.
    eventually(lambda: theirs.calls("steady") > steady + 13, 20, "the other session's calls, reconnected")
    assert mine.calls("doomed") == arrived
    assert not mine.arrives("allowed.test")
    assert wall_of(kubectl, theirs.name) == before
    assert theirs.arrives("allowed.test")


def test_a_tunnel_through_a_shared_proxy_that_is_not_started_anew_would_live_on(pair: tuple[Walled, Walled]) -> None:
    """The control of the test above: what is cut there does go on by itself when nothing cuts it."""
    mine, theirs = pair
    mine.laptop.paude("allow", "allowed.test", mine.name)
    theirs.inside("pkill curl; true")
    mine.keeps_calling("allowed.test", "alive")
    mine.laptop.paude("allow", "aiplatform.test", mine.name)  # shared with the other one: the old proxy stays as it is
    calls = mine.calls("alive")
    eventually(lambda: mine.calls("alive") > calls + 5, 10, "calls")


def test_what_was_refused_is_shown_to_the_session_that_asked_and_to_no_other(pair: tuple[Walled, Walled]) -> None:
    mine, theirs = pair
    secret = f"told-{secrets.token_hex(4)}.forbidden.test"
    for _ in range(3):
        assert not mine.arrives(secret)
    mine.inside(f"curl -sS -m 5 https://{secret}:8443/; curl -sS -m 5 http://{secret}/; true")
    shown = json.loads(mine.laptop.paude("blocked", mine.name, "-o", "json").stdout)["refused"]
    mine_ = {(one["port"], one["why"]): one for one in shown if one["host"] == secret}
    assert mine_[(443, "not on the list")]["count"] == 3
    assert mine_[(443, "not on the list")]["allow"] == f"paude allow {secret} {mine.name}"
    assert {why for _, why in mine_} == {"not on the list", "port", "not HTTPS"}
    assert secret not in theirs.blocked()
    assert f"paude allow {secret} {mine.name}" in mine.laptop.paude("blocked", mine.name).stdout


def test_refusals_are_told_as_they_come(pair: tuple[Walled, Walled]) -> None:
    mine, _ = pair
    name = f"live-{secrets.token_hex(4)}.test"
    with mine.laptop.popen("blocked", mine.name, "--watch", "-o", "json") as watching:
        try:
            assert not mine.arrives(name)
            assert watching.stdout is not None
            found = next(one for line in watching.stdout if (one := json.loads(line))["host"] == name)
            assert found["allow"] == f"paude allow {name} {mine.name}"
        finally:
            watching.terminate()
            watching.communicate(timeout=20)


def test_what_is_allowed_is_shown_with_its_risks(pair: tuple[Walled, Walled]) -> None:
    mine, _ = pair
    done = mine.laptop.paude("allow", "*.wild.test", mine.name)
    assert "warning: *.wild.test allows every name below wild.test" in done.stderr
    (mine.laptop.home / ".npmrc").write_text("registry=https://allowed.test/\n")
    facts = json.loads(mine.laptop.paude("egress", "show", mine.name, "-o", "json").stdout)
    assert "*.wild.test" in facts["hosts"]
    assert any("wild.test" in warning for warning in facts["warnings"])
    assert any("allowed.test is a package registry (npm): whoever may" in warning for warning in facts["warnings"])
    assert mine.arrives("a.wild.test")
    mine.laptop.paude("deny", "*.wild.test", mine.name)
    assert not mine.arrives("a.wild.test")
    refused: subprocess.CompletedProcess[str] = mine.laptop.paude("deny", "*.wild.test", mine.name, code=2)
    assert "is not on the list" in refused.stderr


def test_a_changed_list_outlives_a_stop(pair: tuple[Walled, Walled]) -> None:
    mine, _ = pair
    mine.laptop.paude("allow", "other.test", mine.name)
    mine.laptop.paude("stop", mine.name, "--keep-workspace")
    workspace = next(path for path, record in mine.laptop.records().items() if record["name"] == mine.name)
    mine.laptop.paude("start", workspace, "--agent", "shell", "--detach")
    mine.prepare()
    assert mine.arrives("other.test")
    # And a start with one more, while it runs.
    mine.laptop.paude("start", workspace, "--agent", "shell", "--detach", "--allow", "api.model.test")
    eventually(lambda: mine.arrives("api.model.test"), what="the host that the second start allowed")
    assert mine.arrives("other.test")
