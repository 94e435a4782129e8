"""Policies of other people: which of them open a session, and which let somebody in."""

from __future__ import annotations

from typing import Any

import pytest

from paude.egress import others, policies

LABELS = {"paude.io/role": "agent", "paude.io/wall": "closed", "app.kubernetes.io/name": "paude"}
ALL: list[dict[str, Any]] = [{}]


def policy(name: str, selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"podSelector": selector or {}, **spec}}


def found(*given: dict[str, Any]) -> others.Findings:
    return others.findings(given, LABELS, ["paude-baseline", "paude-demo"])


@pytest.mark.parametrize(
    "spec",
    [
        {"policyTypes": ["Egress"], "egress": ALL},
        {"policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]},
        {"egress": ALL},
    ],
)
def test_any_rule_for_egress_opens(spec: dict[str, Any]) -> None:
    assert found(policy("open", **spec)) == others.Findings(("open",), ())


@pytest.mark.parametrize(
    "spec", [{"policyTypes": ["Egress"]}, {"policyTypes": ["Egress"], "egress": []}, {"policyTypes": ["Ingress"]}, {}]
)
def test_a_policy_that_only_denies_is_no_finding(spec: dict[str, Any]) -> None:
    assert found(policy("deny", **spec)) == others.Findings()


def test_rules_of_a_direction_that_the_policy_is_not_about_do_not_count() -> None:
    assert found(policy("odd", policyTypes=["Ingress"], egress=ALL)) == others.Findings()


def test_what_lets_in_is_told_apart() -> None:
    assert found(policy("same-namespace", ingress=[{"from": [{"podSelector": {}}]}])).ingress == ("same-namespace",)


@pytest.mark.parametrize(
    ("selector", "hit"),
    [
        ({}, True),
        ({"matchLabels": {"paude.io/role": "agent"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "paude.io/wall", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "paude.io/wall", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "paude.io/wall", "operator": "In", "values": ["open"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}, True),
        ({"matchExpressions": [{"key": "paude.io/wall", "operator": "SomethingNew", "values": []}]}, True),
        (
            {
                "matchLabels": {"paude.io/role": "agent"},
                "matchExpressions": [{"key": "paude.io/wall", "operator": "NotIn", "values": ["closed"]}],
            },
            False,
        ),
    ],
)
def test_selectors_are_read_as_the_cluster_reads_them(selector: dict[str, Any], hit: bool) -> None:
    assert bool(found(policy("open", selector, egress=ALL)).egress) is hit


def test_paudes_own_are_left_out_by_name() -> None:
    own = policies.session("demo", "0" * 16, "work", {}, "aaaaaaaaaaaa")
    own["spec"]["podSelector"] = {}
    assert found(own) == others.Findings()


def test_an_own_policy_that_somebody_opened_or_removed_is_told() -> None:
    right = policies.baseline("work")
    assert not others.changed(right, right)
    served = {"spec": {k: v for k, v in right["spec"].items() if v}}  # the API leaves empty lists out
    assert not others.changed(served, right)
    assert others.changed(None, right)
    assert others.changed({"spec": {**right["spec"], "egress": ALL}}, right)
    assert others.changed({"spec": {**right["spec"], "podSelector": {"matchLabels": {"a": "b"}}}}, right)
