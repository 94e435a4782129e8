"""Network policies that are not paude's and select its pods all the same. Pure.

Policies only add up: a single rule for egress in any of them opens what the baseline denies. Only the namespaced,
standard kind is read here; what a cluster's own kinds open, the fence finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """The names of policies that open more egress, and of those that let somebody in."""

    egress: tuple[str, ...] = ()
    ingress: tuple[str, ...] = ()


def findings(policies: Iterable[Policy], labels: Mapping[str, str], own: Iterable[str]) -> Findings:
    """What the policies of a namespace open for a pod with these labels, those named in `own` left out."""
    mine = frozenset(own)
    hits = [p for p in policies if p["metadata"]["name"] not in mine and selects(p, labels)]
    return Findings(_names(hits, "Egress"), _names(hits, "Ingress"))


def changed(policy: Policy | None, expected: Policy) -> bool:
    """Whether a policy of paude's own is missing, or opens or selects something else than paude wrote."""
    if policy is None:
        return True
    spec, wanted = policy.get("spec") or {}, expected["spec"]
    parts = ("podSelector", "policyTypes", "ingress", "egress")
    return any((spec.get(part) or None) != (wanted.get(part) or None) for part in parts)


def selects(policy: Policy, labels: Mapping[str, str]) -> bool:
    """Whether the policy is for a pod with these labels (an empty selector is for all pods of the namespace)."""
    selector = (policy.get("spec") or {}).get("podSelector") or {}
    exact = (selector.get("matchLabels") or {}).items() <= labels.items()
    return exact and all(_matches(one, labels) for one in selector.get("matchExpressions") or ())


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return True  # an operator that nobody knows yet: better one warning too many


def _names(policies: Sequence[Policy], direction: str) -> tuple[str, ...]:
    return tuple(sorted(str(p["metadata"]["name"]) for p in policies if _opens(p, direction)))


def _opens(policy: Policy, direction: str) -> bool:
    """Without policyTypes the API means Ingress, and Egress where there are rules for it."""
    spec = policy.get("spec") or {}
    rules = spec.get(direction.lower()) or ()
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return bool(rules) and direction in types
