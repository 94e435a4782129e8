"""`paude bench tunnel` and `paude bench attach`, short: every scenario runs, and tells what it is to tell."""

from __future__ import annotations

import json

import pytest

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster


def test_the_tunnel_is_measured_beside_kubectl_and_on_a_bad_link(laptop: Laptop, kubectl: Admin) -> None:
    words = ("--mib", "4", "--rounds", "1", "--exact", "4", "--full", "2", "-o", "json")
    found = json.loads(laptop.paude("bench", "tunnel", *words).stdout)
    assert list(found["kinds"]) == ["paude", "kubectl port-forward"]
    assert found["over"].keys() == {"kubectl port-forward"}
    assert found["exact"] is True
    assert found["throttled_lost"] is False
    assert not laptop.records()


def test_a_terminal_on_a_bad_link_loses_no_key_and_its_session_is_gone_afterwards(
    laptop: Laptop, kubectl: Admin
) -> None:
    short = ("--cuts", "2", "--outages", "1", "--outage", "2", "--sleeps", "1", "--full", "3", "--bulk", "8")
    found = json.loads(laptop.paude("bench", "attach", *short, "-o", "json").stdout)
    assert (found["keys_lost"], found["keys_doubled"], found["full_uplink_drops"]) == (0, 0, 0)
    assert found["dials_in_a_second"] <= 5
    assert len(found["promises"]) == 9
    assert not laptop.records()
