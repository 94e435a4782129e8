"""When a silent stream is dead, decided without a clock and without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.tunnel.liveness import Limits, Liveness, Sample, Verdict

LIMITS = Limits(idle=15, answer=3, stall=10, closed_window=600)


def quiet(handed: int = 0, unsent: int = 0, unanswered: int | None = 0, paused: bool = False) -> Sample:
    return Sample(handed, unsent, unanswered, paused)


def verdicts(liveness: Liveness, samples: list[tuple[float, Sample]]) -> list[Verdict]:
    return [liveness.judge(now, sample) for now, sample in samples]


def test_silence_is_asked_about_and_no_answer_is_death():
    watch = Liveness(0, LIMITS)
    seen = verdicts(watch, [(14, quiet()), (15, quiet()), (17, quiet(6, 6, 3)), (18.1, quiet(6, 6, 3))])
    assert seen == [Verdict.WAIT, Verdict.PING, Verdict.WAIT, Verdict.DEAD]


def test_an_answer_begins_the_silence_anew():
    watch = Liveness(0, LIMITS)
    assert watch.judge(15, quiet()) is Verdict.PING
    watch.received(15.1)
    assert watch.judge(30, quiet()) is Verdict.WAIT
    assert watch.judge(30.2, quiet()) is Verdict.PING


def test_a_slow_way_is_given_four_round_trips():
    watch = Liveness(0, LIMITS)
    watch.judge(15, quiet())
    watch.received(17)
    assert watch.judge(32, quiet()) is Verdict.PING
    assert watch.judge(39, quiet()) is Verdict.WAIT
    assert watch.judge(40.1, quiet()) is Verdict.DEAD


@given(st.integers(0, 2), st.integers(1, 1000))
def test_a_saturated_uplink_whose_bytes_move_is_never_dead(unanswered: int, step: int):
    watch = Liveness(0, LIMITS)
    handed = 1_000_000
    for second in range(1, 120):
        handed += step
        assert watch.judge(second, quiet(handed, 1_000_000 - 1, unanswered)) is Verdict.WAIT


def test_a_queue_without_progress_and_without_acknowledgement_is_dead_after_the_stall_limit():
    watch = Liveness(0, LIMITS)
    seen = verdicts(watch, [(1, quiet(5000, 5000, 2)), (10, quiet(5000, 5000, 4)), (11, quiet(5000, 5000, 5))])
    assert seen == [Verdict.WAIT, Verdict.WAIT, Verdict.DEAD]


def test_a_peer_that_keeps_its_window_closed_but_acknowledges_is_alive_for_minutes():
    watch = Liveness(0, LIMITS)
    assert set(verdicts(watch, [(t, quiet(5000, 5000, t % 2)) for t in range(1, 500)])) == {Verdict.WAIT}
    assert watch.judge(601, quiet(5000, 5000, 0)) is Verdict.DEAD


def test_our_own_paused_reader_is_nobodys_death():
    watch = Liveness(0, LIMITS)
    assert set(verdicts(watch, [(t, quiet(paused=True)) for t in range(0, 900, 3)])) == {Verdict.WAIT}
    assert watch.judge(900, quiet()) is Verdict.WAIT


@pytest.mark.parametrize(("sample", "first"), [(quiet(), Verdict.PING), (quiet(9, 9, 3), Verdict.WAIT)])
def test_under_suspicion_the_allowance_is_all_there_is(sample: Sample, first: Verdict):
    watch = Liveness(0, LIMITS)
    watch.judge(1, sample)
    watch.suspect(2, 1.0)
    assert watch.judge(2, sample) is first
    assert watch.judge(3.1, sample) is Verdict.DEAD


def test_a_sign_of_life_ends_the_suspicion():
    watch = Liveness(0, LIMITS)
    watch.suspect(1, 1.0)
    watch.judge(1, quiet())
    watch.received(1.5)
    assert watch.judge(10, quiet()) is Verdict.WAIT


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["in", "look", "suspect"])), max_size=60))
def test_it_always_wants_to_be_asked_again_soon(events: list[tuple[float, str]]):
    watch, now = Liveness(0, LIMITS), 0.0
    for passed, what in events:
        now += passed
        if what == "in":
            watch.received(now)
        elif what == "suspect":
            watch.suspect(now, 1.0)
        else:
            watch.judge(now, quiet())
        assert 0 < watch.pause <= LIMITS.answer
