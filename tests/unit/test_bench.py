"""Measuring a start: which runs are made, and what the report says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.bench import Conditions, Report, Run, bench_start
from paude.bench.statistics import bootstrap_interval, median, p95, percentile, ratio_interval, summarize
from paude.engine import Event, Plan, StepEvent, running
from paude.errors import ImageError, StepFailed

samples = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40)


async def work(*_: object) -> None:
    await anyio.lowlevel.checkpoint()


def start() -> Plan:
    """connect -> (push 3 s, pod 1 s) -> attach"""
    plan = Plan("start")
    connect = plan.step(work, name="connect")
    push = plan.step(work, name="push", after=[connect])
    pod = plan.step(work, name="pod", after=[connect])
    plan.step(work, name="attach", after=[push, pod])
    return plan


def events(sequential: bool, slower: float = 0.0) -> list[Event]:
    times = {"connect": (0, 1), "push": (1, 4), "pod": (1, 2), "attach": (4, 5 + slower)}
    if sequential:
        times |= {"pod": (4, 5), "attach": (5, 6 + slower)}
    return [
        StepEvent(name, phase, at)
        for name, moments in times.items()
        for phase, at in zip(("started", "ready"), moments, strict=True)
    ]


@pytest.fixture
def made() -> list[Conditions]:
    return []


@pytest.fixture
def run_once(made):
    async def once(conditions: Conditions) -> Run:
        made.append(conditions)
        return Run(start(), events(conditions.sequential, slower=conditions.number / 10))

    return once


@pytest.mark.anyio
async def test_the_two_kinds_alternate_after_a_warm_up_that_does_not_count(made, run_once):
    report = await bench_start(run_once, 3)
    assert [(c.number, c.sequential) for c in made[1:]] == [(n, kind) for n in range(3) for kind in (False, True)]
    assert (len(report.concurrent), len(report.sequential)) == (3, 3)
    assert not any(c.cold for c in made)


@pytest.mark.anyio
async def test_what_attaching_took_is_told_for_the_first_time_and_for_others(made, run_once):
    async def attached(conditions: Conditions) -> Run:
        return replace(await run_once(conditions), attach_s=() if conditions.sequential else (0.9, 0.7, 0.4, 0.6))

    report = await bench_start(attached, 2)
    told = report.to_json()["attach_s"]
    found = {name: (one["count"], one["median"]) for name, one in told.items()}
    assert found == {"first": (2, 0.9), "cold": (2, 0.7), "hot": (4, 0.5)}
    assert "attach, hot" in report.to_text()
    assert (await bench_start(run_once, 1)).to_json()["attach_s"] == {}


@pytest.mark.anyio
async def test_cold_runs_have_no_warm_up_and_a_baseline_can_be_left_out(made, run_once):
    report = await bench_start(run_once, 2, cold=True, baseline=False)
    assert made == [Conditions(0, cold=True), Conditions(1, cold=True)]
    assert report.sequential == ()
    assert report.speed is None
    assert report.to_json()["sequential"] is None


@pytest.mark.anyio
async def test_a_run_that_fails_ends_the_measurement_with_its_error():
    async def broken(conditions: Conditions) -> Run:
        raise StepFailed("push", ImageError("the registry is full"))

    with pytest.raises(StepFailed, match="registry is full"):
        await bench_start(broken, 3)
    with pytest.raises(ValueError, match="at least one"):
        await bench_start(broken, 0)


@pytest.mark.anyio
async def test_the_report_compares_with_the_baseline_and_with_what_the_graph_allows(run_once):
    report = await bench_start(run_once, 3)
    assert report.typical.makespan_s == pytest.approx(5.1)
    ratio, low, high = report.speed
    assert ratio == pytest.approx(5.1 / 6.1)
    assert low <= ratio <= high
    assert report.overhead == pytest.approx(1)
    assert report.steps()["push"].median == 3


@pytest.mark.anyio
async def test_as_json_it_can_be_kept(run_once):
    found = json.loads(json.dumps((await bench_start(run_once, 3)).to_json()))
    assert (found["schema"], found["kind"], found["cold"]) == (1, "start", False)
    assert found["concurrent"]["makespans_s"] == pytest.approx([5, 5.1, 5.2])
    assert found["concurrent"]["steps"]["push"]["median"] == 3
    assert found["typical"]["critical_path"] == ["connect", "push", "attach"]
    assert found["concurrent_over_sequential"]["ratio"] == pytest.approx(5.1 / 6.1)


@pytest.mark.anyio
async def test_as_text_it_shows_totals_steps_path_and_chart(run_once):
    text = (await bench_start(run_once, 3)).to_text(width=60)
    assert text.splitlines()[0] == "start, warm: 3 runs, times in seconds"
    assert "critical path of the median run: connect 1.00 → push 3.00 → attach 1.10" in text
    assert "concurrent                  5.10  5.19        5.00 to 5.20" in text
    assert "pod        1.00  1.00   1.00" in text
    chart = text.split("\n\n")[-1].splitlines()
    assert len(chart) == 4
    assert all(len(line) <= 60 for line in chart)


@pytest.mark.anyio
async def test_a_real_plan_is_measured_concurrent_and_sequential():
    async def once(conditions: Conditions) -> Run:
        plan, told = start(), []
        async with running(plan, told.append, sequential=conditions.sequential):
            pass
        return Run(plan, told)

    report = await bench_start(once, 2)
    assert [len(timing.steps) for timing in (*report.concurrent, *report.sequential)] == [4] * 4
    assert report.overhead >= 1


@settings(deadline=None, max_examples=30)
@given(samples)
def test_a_summary_lies_within_its_sample(values):
    found = summarize(values)
    assert found.least <= found.low <= found.median <= found.p95 <= found.most
    assert found.median <= found.high <= found.most


@settings(deadline=None)
@given(samples, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise(values, one, other):
    low, high = sorted((one, other))
    assert percentile(values, low) <= percentile(values, high)
    assert (percentile(values, 0), percentile(values, 1)) == (min(values), max(values))


def test_median_and_p95_of_known_samples():
    assert (median([3, 1, 2]), median([1, 2, 3, 4])) == (2, 2.5)
    assert p95(range(101)) == 95
    with pytest.raises(ValueError, match="empty"):
        percentile([], 0.5)


def test_the_interval_narrows_with_the_sample_and_is_repeatable():
    few, many = [1.0, 2.0, 3.0], [1.0, 2.0, 3.0] * 30
    width = {len(v): bootstrap_interval(v)[1] - bootstrap_interval(v)[0] for v in (few, many)}
    assert width[90] < width[3]
    assert bootstrap_interval(few) == bootstrap_interval(few)
    assert ratio_interval([2.0] * 5, [4.0] * 5) == (0.5, 0.5)


def test_two_runs_in_the_middle_give_the_faster_as_typical():
    timings = tuple(Run(start(), events(False, slower)).timing for slower in (0.4, 0.1, 0.3, 0.2))
    assert Report("start", False, timings).typical is timings[3]
    assert partial(Report, "start", True)(timings[:1]).typical is timings[0]
