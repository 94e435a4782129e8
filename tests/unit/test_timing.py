"""What a run's events say about where the time went."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.engine import Plan, StepEvent, StepLog
from paude.engine.timing import Timing, gantt, measure


async def work(*_: object) -> None: ...


def diamond() -> Plan:
    """a -> (b, c) -> d, and e by itself."""
    plan = Plan("diamond")
    a = plan.step(work, name="a")
    b = plan.step(work, name="b", after=[a])
    c = plan.step(work, name="c", after=[a])
    plan.step(work, name="d", after=[b, c])
    plan.step(work, name="e")
    return plan


def run(**times: tuple[float, float]) -> Timing:
    events = [StepLog("a", "noise")]
    for name, (start, end) in times.items():
        events += [StepEvent(name, "started", start), StepEvent(name, "ready", end), StepEvent(name, "closed", 99)]
    return measure(diamond(), events)


CONCURRENT = run(a=(10, 11), b=(11, 15), c=(11, 13), d=(15.5, 16), e=(10, 12))


def test_the_critical_path_is_the_longest_chain_of_measured_durations():
    assert CONCURRENT.critical_path == ("a", "b", "d")
    assert CONCURRENT.critical_s == 1 + 4 + 0.5
    assert CONCURRENT.makespan_s == 6, "half a second was lost between b and d"
    assert CONCURRENT.sequential_s == 1 + 4 + 2 + 0.5 + 2


def test_slack_is_how_much_longer_a_step_could_take_without_harm():
    assert {s.step: s.slack_s for s in CONCURRENT.steps} == {"a": 0, "b": 0, "c": 2, "d": 0, "e": 3.5}
    assert [s.step for s in CONCURRENT.steps if s.critical] == ["a", "b", "d"]


def test_a_sequential_run_has_the_same_critical_path_but_a_makespan_of_the_sum():
    timing = run(a=(0, 1), b=(1, 5), c=(5, 7), d=(7, 7.5), e=(7.5, 9.5))
    assert timing.critical_path == CONCURRENT.critical_path
    assert timing.makespan_s == timing.sequential_s


def test_a_step_that_failed_counts_until_its_failure_and_one_that_never_started_not_at_all():
    timing = measure(
        diamond(),
        [
            StepEvent("a", "started", 0),
            StepEvent("a", "failed", 3),
            *(StepEvent(n, "skipped", 3) for n in "bcd"),
        ],
    )
    assert [(s.step, s.seconds) for s in timing.steps] == [("a", 3)]
    assert timing.critical_path == ("a",)


def test_nothing_measured_is_a_timing_of_nothing():
    timing = measure(diamond(), [])
    assert (timing.makespan_s, timing.critical_path, gantt(timing)) == (0, (), "")


def test_the_chart_shows_who_waited_for_whom():
    chart = gantt(CONCURRENT, width=40)
    assert chart.splitlines() == [
        "a  |████                       |  1.00 s",
        "b  |    ██████████████████     |  4.00 s",
        "c  |    ▒▒▒▒▒▒▒▒▒▒             |  2.00 s",
        "d  |                         ██|  0.50 s",
        "e  |▒▒▒▒▒▒▒▒▒                  |  2.00 s",
    ]


moments = st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)).map(lambda pair: (min(pair), max(pair)))


@settings(deadline=None)
@given(a=moments, b=moments, c=moments, d=moments, e=moments, width=st.integers(30, 200))
def test_every_chart_keeps_to_its_width_and_gives_every_step_a_mark(a, b, c, d, e, width):
    timing = run(a=a, b=b, c=c, d=d, e=e)
    lines = gantt(timing, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert all("█" in line or "▒" in line for line in lines)
    assert timing.critical_s == pytest.approx(max(sum(s.seconds for s in timing.steps if s.critical), 0))
    assert all(s.slack_s >= -1e-6 for s in timing.steps)
