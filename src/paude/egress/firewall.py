"""OVN-Kubernetes' EgressFirewall: a second limit, below the policies, for what leaves the cluster from a namespace.

There is one for each namespace, it has to be named `default`, and it concerns every pod there: so it is made only when
asked for. Only networks are named, never hosts: such a rule is looked up at a distance and would be late or wide.
Source: the API k8s.ovn.org/v1, whose first rule that fits decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paude.egress.company import Company
from paude.egress.ranges import PRIVATE

API = "k8s.ovn.org/v1"
NAME = "default"
EVERYTHING = ("0.0.0.0/0", "::/0")

Rule = dict[str, Any]


def manifest(
    namespace: str, labels: Mapping[str, str], company: Company, present: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The object: what a proxy needs, and no more. What `present`, an earlier one of paude's, let through stays, for
    it may serve a session of another company network.
    """
    allowed = _allowed(company)
    for rule in _before(present):
        if rule not in allowed:
            allowed.append(rule)
    narrow = [rule for rule in allowed if not _is_wide(rule)]
    wide = [rule for rule in allowed if _is_wide(rule)]
    rules = [*narrow, *map(_deny, PRIVATE), *wide, *map(_deny, EVERYTHING)]
    return {
        "apiVersion": API,
        "kind": "EgressFirewall",
        "metadata": {"name": NAME, "namespace": namespace, "labels": dict(labels)},
        "spec": {"egress": rules},
    }


def _allowed(company: Company) -> list[Rule]:
    rules = [_allow(network, 443) for network in company.networks]
    if company.parent is None:
        return [*rules, *(_allow(network, 443) for network in EVERYTHING)]
    # A parent that has a name is somewhere: its port is all that is known of it.
    network = company.parent.network
    return [*rules, *(_allow(one, company.parent.port) for one in ([network] if network else EVERYTHING))]


def _before(present: Mapping[str, Any] | None) -> Sequence[Rule]:
    rules = ((present or {}).get("spec") or {}).get("egress") or ()
    return [dict(rule) for rule in rules if rule.get("type") == "Allow"]


def _is_wide(rule: Rule) -> bool:
    """Somebody else's rule may name a host (`dnsName`) or nodes instead of a network."""
    return (rule.get("to") or {}).get("cidrSelector") in EVERYTHING


def _allow(network: str, port: int) -> Rule:
    return {"type": "Allow", "to": {"cidrSelector": network}, "ports": [{"protocol": "TCP", "port": port}]}


def _deny(network: str) -> Rule:
    return {"type": "Deny", "to": {"cidrSelector": network}}
