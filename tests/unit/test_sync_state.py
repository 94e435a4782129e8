from __future__ import annotations

from typing import Any

import pytest

from paude.plans.homecoming import in_the_way
from paude.sync.state import HALTED, parse, parse_list

WELL: dict[str, Any] = {"labels": {"paude": "s"}, "status": "watching", "successfulCycles": 3, "alpha": {}, "beta": {}}


def test_a_session_without_trouble_is_healthy_and_has_nothing_to_say() -> None:
    state = parse(WELL, {})
    assert state.healthy
    assert state.settled
    assert state.message == ""


def test_a_sync_that_was_taken_over_says_by_whom_before_anything_else() -> None:
    state = parse({**WELL, "paused": True}, {"taken_over": "the sync was taken over by there"})
    assert not state.healthy
    assert state.message.startswith("the sync was taken over by there; `paude attach s --take-over`")


@pytest.mark.parametrize("status", HALTED)
def test_a_halted_session_says_why_and_what_can_be_done(status: str) -> None:
    state = parse({**WELL, "status": status}, {})
    assert state.halted
    assert not state.healthy
    assert "`paude sync" in state.message


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": "connecting-beta"},
        {"paused": True},
        {"lastError": "x"},
        {"conflicts": [{"root": "f"}]},
        {"beta": {"scanProblems": [{"path": "p", "error": "e"}]}},
        {"alpha": {"transitionProblems": [{"path": "p", "error": "e"}]}},
    ],
)
def test_trouble_of_any_kind_is_not_healthy_and_is_told(trouble: dict[str, Any]) -> None:
    state = parse({**WELL, **trouble}, {})
    assert not state.healthy
    assert state.message


def test_conflicts_beyond_mutagens_ten_come_from_the_report() -> None:
    listed = [{"root": f"c{n}", "alphaChanges": [{"new": {}}, {"new": {}}]} for n in range(10)]
    state = parse({**WELL, "conflicts": listed, "excludedConflicts": 2}, {"conflicts": [f"c{n}" for n in range(12)]})
    assert {c.path for c in state.conflicts} == {f"c{n}" for n in range(12)}


def test_problems_that_mutagen_does_not_list_are_counted() -> None:
    state = parse({**WELL, "beta": {"scanProblems": [{"path": "p"}], "excludedScanProblems": 4}}, {})
    assert state.problems_unlisted == 4
    assert "5 problems" in state.message


def test_deletions_that_wait_are_told_with_both_choices() -> None:
    state = parse(WELL, {"brakes": [{"side": "laptop", "files": 90, "of": 100, "example": "a"}]})
    assert not state.healthy
    assert "90 of 100 files were deleted in the pod, and the laptop still has them" in state.message
    assert "`paude sync reset`" in state.message
    assert "`paude sync resume --delete`" in state.message


def test_a_branch_that_was_switched_on_one_side_is_told() -> None:
    state = parse(WELL, {"fence": '"a" is checked out here and "b" in the pod'})
    assert not state.healthy
    assert "switch to the same branch" in state.message


def test_a_limit_that_is_met_is_told_in_words_of_paudes() -> None:
    state = parse({**WELL, "lastError": "beta scan error: more entries than allowed"}, {})
    assert state.last_error == "in the pod there are more files and directories than allowed (sync.max_entries)"


def test_what_an_error_says_cannot_control_the_terminal() -> None:
    assert "\x1b" not in parse({**WELL, "lastError": "a\x1b[2Jb"}, {}).last_error


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "[1, null]"])
def test_what_cannot_be_read_is_no_session(text: str) -> None:
    assert parse_list(text) == ()


def test_names_that_the_agent_chose_are_spelled_out_where_a_stop_tells_them() -> None:
    odd = "a\nb\x1b[2J\u202e"
    state = parse({**WELL, "conflicts": [{"root": odd}]}, {"held": [{"path": odd, "change": "new", "why": "guard"}]})
    assert in_the_way(state).sentences == (
        r"a conflict at a\x0ab\x1b[2J\u202e",
        r"a\x0ab\x1b[2J\u202e was held by the guard",
    )
