"""Which sessions have had their time: judged from the record and what is seen, nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paude.backends.base import Listed, Location
from paude.cli.display import opener
from paude.plans.cleanup import Stale, end, judge, judge_elsewhere, survey
from paude.sessions import records
from paude.sessions.records import Record
from paude.sessions.states import Seen, SessionState
from paude.settings import Paths

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
YOUNG = Record("x", "0" * 16, "kubernetes", "/w", "shell", (NOW - timedelta(hours=1)).isoformat(), committed=True)
RUNNING = Seen(SessionState.RUNNING)
IDLE = Seen(SessionState.PARKED, "idle for 4h: no output, no process at work, no traffic")


@pytest.mark.parametrize(
    ("record", "seen", "older_than_s", "why"),
    [
        (YOUNG, RUNNING, None, ""),
        (YOUNG, IDLE, None, IDLE.reason),
        (YOUNG, Seen(SessionState.PARKED, "at its age limit of 24h"), None, "at its age limit of 24h"),
        (YOUNG, Seen(SessionState.PARKED, "stopped by its owner"), None, ""),
        (YOUNG, Seen(SessionState.PARKED, "the fence is open: idle for "), None, ""),
        (YOUNG, RUNNING, 3600.0, ""),
        (YOUNG, RUNNING, 3599.0, "older than 0:59:59"),
        (YOUNG, Seen(SessionState.STOPPED), 0.0, ""),
        (replace(YOUNG, committed=False), RUNNING, None, "its start was killed"),
        (replace(YOUNG, committed=False), Seen(SessionState.STOPPED), None, "its start was killed"),
    ],
)
def test_a_session_has_had_its_time(record: Record, seen: Seen, older_than_s: float | None, why: str) -> None:
    assert judge(record, seen, NOW, older_than_s) == why


@pytest.mark.parametrize(
    ("seen", "older_than_s", "why"),
    [
        (RUNNING, None, ""),
        (IDLE, None, IDLE.reason),
        (Seen(SessionState.PARKED, "stopped by its owner"), None, "stopped by its owner"),
        (Seen(SessionState.PARKED), None, "parked"),
        (Seen(SessionState.OPEN, "the fence is open: api"), None, "the fence is open: api"),
        (RUNNING, 3600.0, ""),
        (RUNNING, 3599.0, "older than 0:59:59"),
        (Seen(SessionState.STOPPED), 0.0, ""),
    ],
)
def test_a_session_of_a_laptop_that_is_gone_has_had_its_time(seen: Seen, older_than_s: float | None, why: str) -> None:
    made = YOUNG.created_at.replace("+00:00", "Z")
    one = Listed("x", "0" * 16, "me", "shell", "/w", "closed", made, "kubernetes", Location("https://x.test"), seen)
    assert judge_elsewhere(one, NOW, older_than_s) == why


@pytest.mark.parametrize(
    ("made", "keeps", "older_than_s", "gone"),
    [
        (NOW - timedelta(hours=25), False, None, True),
        (NOW - timedelta(hours=23), False, None, False),  # a start may be under way
        (NOW - timedelta(hours=23), False, 3600.0, True),
        (NOW - timedelta(hours=25), False, 30 * 3600.0, False),
        (NOW - timedelta(hours=25), True, None, False),  # stopped and kept
        (NOW - timedelta(hours=25), True, 0.0, False),
    ],
)
def test_a_name_of_which_nothing_else_is_left_has_had_its_time(
    made: datetime, keeps: bool, older_than_s: float | None, gone: bool
) -> None:
    place, stopped = Location("https://x.test"), Seen(SessionState.STOPPED)
    one = Listed("x", "0" * 16, "me", "", "/w", "", made.isoformat(), "kubernetes", place, stopped, keeps)
    assert bool(judge_elsewhere(one, NOW, older_than_s)) is gone


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))


async def ended(paths: Paths, stale: list[Stale]) -> list[str]:
    told: list[str] = []
    assert await end(stale, paths, opener("quiet"), told.append, keep_volume=False, limit_s=10) == []
    return told


async def test_what_a_killed_start_left_is_ended(paths: Paths) -> None:
    records.save(paths, replace(YOUNG, committed=False))
    found = await survey(paths)
    assert [one.why for one in found.stale] == ["its start was killed"]
    assert "x has ended" in (await ended(paths, found.stale))[0]
    assert records.load(paths, "x") is None


async def test_a_start_that_is_done_by_now_was_not_killed(paths: Paths) -> None:
    records.save(paths, replace(YOUNG, committed=False))
    found = await survey(paths)
    records.save(paths, YOUNG)
    assert await ended(paths, found.stale) == []
    assert records.load(paths, "x") == YOUNG


async def test_a_start_that_is_under_way_is_left_alone(paths: Paths) -> None:
    records.save(paths, replace(YOUNG, committed=False))
    with records.locked(paths, "x"):
        found = await survey(paths)
    assert found.stale == []
    assert found.troubles != []


async def test_a_session_at_which_another_command_is_at_work_is_looked_at_all_the_same(paths: Paths) -> None:
    records.save(paths, YOUNG)  # it has no server: nobody is asked
    with records.locked(paths, "x"):
        assert (await survey(paths)).troubles == []
