"""What programs read: one document in two notations, the fields that docs/output.md lists, and no others."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from enum import StrEnum
from pathlib import Path

import pytest
import yaml

from paude.bench.attach import AttachReport
from paude.bench.report import Report
from paude.bench.statistics import Summary
from paude.bench.sync import SyncReport
from paude.bench.tunnel import TunnelReport
from paude.cli import output, sessions
from paude.cli.app import VERBS, say
from paude.egress.blocked import Denied
from paude.engine.timing import Timing
from paude.errors import UsageError
from paude.gate.client import GateStatus, Probe
from paude.plans.compare import Verdict
from paude.plans.review import Shown
from paude.sessions.activity import Activity, Doing
from paude.sessions.states import SessionState
from paude.sync.state import Conflict, Flagged, SyncState

DOCUMENT = Path(__file__).parents[2] / "docs/output.md"
AWKWARD = {"schema": 1, "names": ("a", "b"), "steers": "\x1b]0;x\x07\u202e\n- x: y", "none": None, "n": 1.5, "ok": True}

PROMISES = {f"promises[].{key}" for key in ("what", "found", "promised", "kept")}


def documented(verb: str) -> set[str]:
    """The fields that the document lists for a verb."""
    for heading, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        if verb in heading.split(", "):
            rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
            return {field for row in rows for field in re.findall(r"`([^`]+)`", row)}
    raise AssertionError(f"docs/output.md says nothing of {verb}")


def fields(kind: type, prefix: str = "") -> set[str]:
    """The leaves of a frozen dataclass, as `asdict` gives them; a list is `name[]`, an optional one is itself too."""
    hints, found = typing.get_type_hints(kind), set()
    for one in dataclasses.fields(kind):
        found |= _leaves(hints[one.name], prefix + one.name)
    return found


def _leaves(kind: object, name: str) -> set[str]:
    arguments = [one for one in typing.get_args(kind) if one not in (types.NoneType, Ellipsis)]
    if Summary in (kind, *arguments):  # described once for all
        return {name}
    if dataclasses.is_dataclass(kind):
        return fields(kind, f"{name}.")  # type: ignore[arg-type]
    if typing.get_origin(kind) is tuple and len(arguments) == 1:
        inner = arguments[0]
        return fields(inner, f"{name}[].") if dataclasses.is_dataclass(inner) else {f"{name}[]"}
    if isinstance(kind, types.UnionType) and len(arguments) == 1 and dataclasses.is_dataclass(arguments[0]):
        return {name} | fields(arguments[0], f"{name}.")
    return {name}


@pytest.mark.parametrize(
    ("verb", "emitted"),
    [
        ("paude sessions", {"schema"} | fields(sessions.Row, "sessions[].")),
        ("paude sync status", {"schema", "healthy", "message"} | fields(SyncState)),
        ("paude sync conflicts", {"schema"} | fields(Conflict, "conflicts[].")),
        ("paude sync verify", {"schema"} | fields(Verdict)),
        ("paude review", {"schema"} | fields(Shown, "held[].") | fields(Flagged, "flagged[].")),
        ("paude verify", {"schema", "session"} | fields(Probe, "probes[].")),
        ("paude agent status", {"schema", "session", "agent"} | fields(Activity)),
        ("paude blocked", {"schema", "session", "refused[].allow"} | fields(Denied, "refused[].")),
        ("paude bench start", set(Report("", False, (Timing("", (), 1.0, (), 1.0, 1.0),)).to_json())),
        ("paude bench sync", {"schema", "kind", "first_sync_mb_s"} | fields(SyncReport)),
        ("paude bench tunnel", {"schema", "kind", "over"} | fields(TunnelReport)),
        ("paude bench attach", {"schema", "kind"} | PROMISES | fields(AttachReport)),
    ],
)
def test_the_document_lists_the_fields_that_are_printed(verb: str, emitted: set[str]) -> None:
    assert documented(verb) == emitted


@pytest.mark.parametrize(("field", "states"), [("sessions[].state", SessionState), ("doing", Doing)])
def test_the_document_lists_every_state(field: str, states: type[StrEnum]) -> None:
    row = re.search(rf"^\| `{re.escape(field)}` .*$", DOCUMENT.read_text(), re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`([a-z]+)`", row[0])) - {field} == {str(state) for state in states}


def test_the_document_lists_what_the_gate_tells() -> None:
    told = {one for one in fields(GateStatus, "gate.") if not one.startswith("gate.fence.")}
    assert {one for one in documented("paude status") if one.startswith("gate.")} == told | {"gate.fence"}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_both_notations_hold_the_same_and_steer_no_terminal(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output.document(form, AWKWARD)
    printed = capsys.readouterr().out
    assert all(character == "\n" or " " <= character <= "~" for character in printed)
    read = json.loads(printed) if form == "json" else yaml.safe_load(printed)
    assert read == {**AWKWARD, "names": ["a", "b"]}


def test_events_are_lines_of_json_or_documents_of_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    for form, parse in (("json", lambda text: [json.loads(line) for line in text.splitlines()]),
                        ("yaml", lambda text: list(yaml.safe_load_all(text)))):  # fmt: skip
        for number in (1, 2):
            output.document(form, {"n": number, "list": [1]}, one_of_many=True)
        assert parse(capsys.readouterr().out) == [{"n": 1, "list": [1]}, {"n": 2, "list": [1]}]


def test_a_form_for_people_is_left_to_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert not output.document("wide", {"a": 1})
    assert capsys.readouterr().out == ""


def test_another_form_is_refused_with_those_that_are_known() -> None:
    assert output.checked("table") == "text"
    for known in (output.LISTING, output.FACTS):
        with pytest.raises(UsageError) as caught:
            output.checked("xml", known)
        assert caught.value.hint == f"formats: {', '.join(known)}"
    with pytest.raises(UsageError):
        output.checked("name", output.FACTS)


def test_every_verb_of_the_document_exists() -> None:
    named = re.findall(r"paude ([a-z]+)", " ".join(re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.MULTILINE)))
    assert set(named) - set(VERBS) == set()


def test_nothing_that_is_said_steers_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    say("x was not removed: \x1b]52;c;eA==\x07\x1b[2Jan agent's words\n  in two lines")
    assert capsys.readouterr().err == "x was not removed: an agent's words\n  in two lines\n"
