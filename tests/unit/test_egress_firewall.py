"""The EgressFirewall: what the first rule that fits says of an address, and that only networks are named."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from paude.egress import firewall
from paude.egress.company import Company

PUBLIC, PRIVATE = "198.51.100.1", "10.20.0.9"


def says(obj: dict[str, Any], address: str, port: int) -> str:
    """As OVN reads it: rules in order; without ports all of them."""
    for rule in obj["spec"]["egress"]:
        ports = rule.get("ports") or [{"protocol": "TCP", "port": port}]
        here = ip_address(address) in ip_network(rule["to"]["cidrSelector"])
        if here and {"protocol": "TCP", "port": port} in ports:
            return str(rule["type"])
    return "Allow"


def made(company: Company | None = None, present: dict[str, Any] | None = None) -> dict[str, Any]:
    return firewall.manifest("work", {}, company or Company(), present)


def test_it_has_the_one_name_that_counts_and_names_networks_only() -> None:
    obj = made()
    assert (obj["metadata"]["name"], obj["kind"]) == ("default", "EgressFirewall")
    assert all(set(rule["to"]) == {"cidrSelector"} for rule in obj["spec"]["egress"])


@pytest.mark.parametrize(
    ("address", "port", "word"),
    [
        (PUBLIC, 443, "Allow"),
        (PUBLIC, 80, "Deny"),
        (PRIVATE, 443, "Deny"),
        ("169.254.169.254", 80, "Deny"),
        ("2001:db8::1", 443, "Allow"),
        ("2001:db8::1", 22, "Deny"),
        ("fd00:ec2::254", 443, "Deny"),
    ],
)
def test_port_443_of_public_addresses_and_nothing_else(address: str, port: int, word: str) -> None:
    assert says(made(), address, port) == word


def test_a_companys_hosts_and_proxy() -> None:
    led = made(Company.of(None, ["m.test=10.20.0.0/16"]))
    assert [says(led, *to) for to in ((PRIVATE, 443), (PRIVATE, 22), ("10.21.0.1", 443))] == ["Allow", "Deny", "Deny"]
    behind = made(Company.of("http://10.9.9.9:8080"))
    assert [says(behind, *to) for to in (("10.9.9.9", 8080), (PUBLIC, 443))] == ["Allow", "Deny"]


def test_what_an_earlier_session_needs_stays() -> None:
    both = made(Company.of("http://10.9.9.9:8080"), present=made(Company.of(None, ["m.test=10.20.0.0/16"])))
    assert [says(both, *to) for to in ((PRIVATE, 443), ("10.9.9.9", 8080), (PUBLIC, 443), (PUBLIC, 80))] == [
        "Allow",
        "Allow",
        "Allow",
        "Deny",
    ]
    assert made(present=both) == made(present=made(present=both)), "again and again is the same"


def test_what_somebody_added_by_name_stays() -> None:
    present = made()
    added = {"type": "Allow", "to": {"dnsName": "mirror.test"}}
    present["spec"]["egress"].insert(0, added)

    assert added in made(present=present)["spec"]["egress"]
