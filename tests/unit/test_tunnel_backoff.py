"""How long one waits before the next attempt."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from paude.tunnel.backoff import STEADY_S, Backoff, limit


async def tried(backoff: Backoff, times: int) -> None:
    for _ in range(times):
        await backoff.wait()


@given(st.integers(0, 10_000), st.floats(0.01, 1), st.floats(1, 60))
def test_it_doubles_up_to_a_limit(failures: int, first: float, last: float):
    assert first <= limit(failures, first, last) <= last
    assert limit(failures, first, last) <= limit(failures + 1, first, last)


async def test_the_quick_ones_do_not_grow():
    backoff = Backoff(last=1, first=0.001, quick=3)
    await tried(backoff, 3)
    assert backoff.longest == 0.002
    await tried(backoff, 2)
    assert backoff.longest == 0.008


async def test_who_is_in_a_hurry_is_not_kept_waiting_and_tries_no_more_often_all_the_same():
    backoff = Backoff(last=1e9, first=0.05, quick=-40)  # by itself the wait would last for months
    began = anyio.current_time()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backoff.wait)
            await anyio.wait_all_tasks_blocked()
            backoff.hurry()
    assert anyio.current_time() - began >= 0.05


async def test_what_works_for_a_moment_only_is_no_reason_to_begin_anew_and_what_lasts_is():
    backoff = Backoff(last=1, first=0.001)
    await tried(backoff, 4)
    grown = backoff.longest
    backoff.worked(STEADY_S / 2)
    assert backoff.longest == grown
    backoff.worked(STEADY_S)
    assert backoff.longest == 0.002
