"""A change of the list, and what else is protection about the wall: the order is what is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from paude.backends.kubernetes.start import Start
from paude.backends.kubernetes.wall import Change
from paude.engine import Plan
from paude.plans import allow, start
from paude.plans.laptop import Laptop
from paude.sessions.records import Record
from paude.settings import Paths

NOWHERE = Paths(*[Path("/nonexistent")] * 4)
RECORD = Record("x", "0" * 16, "kubernetes", "/x", "shell", "2026-01-01T00:00:00+00:00", server="https://x.test")


@pytest.fixture
def changing() -> Plan:
    return allow.on_kubernetes(Change(RECORD, NOWHERE, add=("a.example",)))


def before(plan: Plan, name: str) -> set[str]:
    return {node.name for node in plan.ancestors(plan[name])}


def test_nobodys_policy_opens_a_pod_that_is_made() -> None:
    plan = start.on_kubernetes(Start(None, NOWHERE), Laptop(RECORD, True, NOWHERE))  # type: ignore[arg-type]
    for step in ("create pod", "release agent"):
        assert "check policies of others" in before(plan, step)


def test_a_proxy_is_looked_for_once_the_session_is_known_to_use_it() -> None:
    plan = start.on_kubernetes(Start(None, NOWHERE), Laptop(RECORD, True, NOWHERE))  # type: ignore[arg-type]
    assert "reserve proxy address" in before(plan, "roll out proxy")


@pytest.mark.parametrize(
    ("step", "first"),
    [
        ("switch address", "await admission"),  # no connection is sent to a proxy that does not take it
        ("await admission", "open both"),
        ("close old", "await switch"),
        ("retire old", "await shut"),  # a proxy that is started anew takes no tunnel that was just ended
        ("await shut", "close old"),
        ("remember", "note"),
        ("note", "close old"),  # what is written down is in force
    ],
)
def test_a_change_goes_step_by_step(changing: Plan, step: str, first: str) -> None:
    assert first in before(changing, step)


def test_a_change_names_the_command_that_ends_it_well(changing: Plan) -> None:
    assert changing.remedy == "paude allow a.example x"
