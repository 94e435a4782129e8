"""The network policies: what they select, and that they open nothing else."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from paude.egress import policies

AGENT = {
    "paude.io/session": "demo",
    "paude.io/session-uid": "0123456789abcdef",
    "paude.io/role": "agent",
    "paude.io/wall": "closed",
    "paude.io/uses": "aaaaaaaaaaaa",
}


def selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    return policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def reaches(policy: dict[str, Any], address: str) -> bool:
    (rule,) = [rule for rule in policy["spec"]["egress"] if "to" in rule]
    for block in (peer["ipBlock"] for peer in rule["to"]):
        inside = ip_address(address) in ip_network(block["cidr"])
        if inside and not any(ip_address(address) in ip_network(out) for out in block["except"]):
            return True
    return False


def test_the_baseline_denies_both_directions_to_closed_pods_only() -> None:
    policy = policies.baseline("work")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == policy["spec"]["egress"] == []
    assert selects(policy, AGENT)
    assert not selects(policy, {**AGENT, "paude.io/wall": "open"})
    assert not selects(policy, {"app": "somebody-elses"})


def test_a_session_may_only_reach_the_proxies_of_its_list() -> None:
    policy = policies.session("demo", AGENT["paude.io/session-uid"], "work", {"a": "b"}, "aaaaaaaaaaaa")
    assert policy["metadata"] == {"name": "paude-demo", "namespace": "work", "labels": {"a": "b"}}
    assert policy["spec"]["ingress"] == []
    assert policy["spec"]["egress"] == [
        {
            "to": [{"podSelector": {"matchLabels": {"paude.io/role": "proxy", "paude.io/allowlist": "aaaaaaaaaaaa"}}}],
            "ports": [{"protocol": "TCP", "port": 3128}],
        }
    ]


@pytest.mark.parametrize(
    "other", [{"paude.io/session": "other"}, {"paude.io/session-uid": "f" * 16}, {"paude.io/wall": "open"}]
)
def test_a_sessions_policy_selects_no_other_pod(other: dict[str, str]) -> None:
    policy = policies.session("demo", AGENT["paude.io/session-uid"], "work", {}, "aaaaaaaaaaaa")
    assert selects(policy, AGENT)
    assert not selects(policy, {**AGENT, **other})


def test_a_session_on_its_way_may_reach_both_proxies_and_never_all() -> None:
    policy = policies.session("demo", AGENT["paude.io/session-uid"], "work", {}, "aaaaaaaaaaaa", "bbbbbbbbbbbb")
    ((rule),) = policy["spec"]["egress"]
    assert [peer["podSelector"]["matchLabels"]["paude.io/allowlist"] for peer in rule["to"]] == ["a" * 12, "b" * 12]
    with pytest.raises(AssertionError, match="every peer"):
        policies.session("demo", AGENT["paude.io/session-uid"], "work", {})


def test_a_proxy_is_open_to_its_users_and_its_canary_to_every_agent() -> None:
    policy = policies.proxy("aaaaaaaaaaaa", "work", {})
    door, canary = policy["spec"]["ingress"]
    assert door["ports"] == [{"protocol": "TCP", "port": 3128}]
    assert canary["ports"] == [{"protocol": "TCP", "port": 3129}]
    users, leavers = (peer["podSelector"]["matchLabels"] for peer in door["from"])
    elsewhere = {**AGENT, "paude.io/uses": "bbbbbbbbbbbb"}
    assert users.items() <= AGENT.items()
    assert not users.items() <= elsewhere.items()
    assert not leavers.items() <= elsewhere.items()
    assert leavers.items() <= {**elsewhere, "paude.io/leaves": "aaaaaaaaaaaa"}.items()
    assert canary["from"] == [{"podSelector": {"matchLabels": {"paude.io/role": "agent"}}}]
    assert selects(policy, {"paude.io/role": "proxy", "paude.io/allowlist": "aaaaaaaaaaaa"})
    assert not selects(policy, AGENT)


def test_a_proxy_may_ask_resolvers_and_reach_443_and_nothing_else() -> None:
    egress = policies.proxy("aaaaaaaaaaaa", "work", {})["spec"]["egress"]
    ports = sorted((port["protocol"], port["port"]) for rule in egress for port in rule["ports"])
    assert ports == [("TCP", 53), ("TCP", 443), ("TCP", 5353), ("UDP", 53), ("UDP", 5353)]
    assert [rule["ports"] for rule in egress if "to" in rule] == [[{"protocol": "TCP", "port": 443}]]


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("198.51.100.10", True),
        ("203.0.113.1", True),
        ("2001:db8::1", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_no_private_address_is_reached_through_a_proxy(address: str, open_: bool) -> None:
    assert reaches(policies.proxy("aaaaaaaaaaaa", "work", {}), address) is open_


def test_further_private_networks_are_kept_from_a_proxy() -> None:
    policy = policies.proxy("aaaaaaaaaaaa", "work", {}, private=("203.0.113.0/24", "2001:db8::/32"))
    assert not reaches(policy, "203.0.113.9")
    assert not reaches(policy, "2001:db8::9")
    assert reaches(policy, "198.51.100.9")


def test_a_relays_policy_is_for_that_relay_alone_and_lets_nothing_in() -> None:
    policy = policies.relay("paude-relay-1", "work", {}, 5000, "of-the-registry")
    relay = {"paude.io/role": "relay", "paude.io/relay": "paude-relay-1"}
    assert selects(policy, relay)
    assert not selects(policy, {**relay, "paude.io/relay": "paude-relay-2"})
    assert not selects(policy, AGENT)
    assert policy["spec"]["ingress"] == []
    names, registry = policy["spec"]["egress"]
    assert {(one["protocol"], one["port"]) for one in names["ports"]} == {
        (p, n) for p in ("UDP", "TCP") for n in (53, 5353)
    }
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "of-the-registry"}}}
    assert registry == {"to": [there], "ports": [{"protocol": "TCP", "port": 5000}]}
