"""Which sessions have had their time: judged from the record and what is seen, nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from paude.plans.cleanup import judge
from paude.sessions.records import Record
from paude.sessions.states import Seen, SessionState

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
