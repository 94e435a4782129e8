"""How long one waits before the next attempt."""

from __future__ import annotations

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


async def test_what_works_for_a_moment_only_is_no_reason_to_begin_anew_and_what_lasts_is():
    backoff = Backoff(last=1, first=0.001)
    await tried(backoff, 4)
    grown = backoff.longest
    backoff.worked(STEADY_S / 2)
    assert backoff.longest == grown
    backoff.worked(STEADY_S)
    assert backoff.longest == 0.002
