"""A login that is refused again and again is renewed less and less often, until somebody logs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from paude.backends.kubernetes.login_pause import FIRST_S, LAST_S, STEADY_S, LoginPause
from paude.errors import LoginExpired


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def renewals(pause: LoginPause, clock: Clock, seconds: float, every: float = 0.5) -> int:
    """How many renewals are let through to one who asks all the time."""
    end, count = clock.now + seconds, 0
    while clock.now < end:
        clock.now += every
        try:
            pause.check()
        except LoginExpired:
            continue
        count += 1
    return count


def test_the_first_is_free_and_then_they_become_rare(tmp_path: Path):
    clock = Clock()
    pause = LoginPause([tmp_path / "kubeconfig"], clock)
    pause.check()
    with pytest.raises(LoginExpired):
        pause.check()
    assert renewals(pause, clock, 10 * LAST_S) <= 15


def test_a_changed_kubeconfig_is_looked_at_once_at_once(tmp_path: Path):
    clock, file = Clock(), tmp_path / "kubeconfig"
    pause = LoginPause([file], clock)
    renewals(pause, clock, LAST_S)
    file.write_text("logged in again")
    pause.check()
    with pytest.raises(LoginExpired):
        pause.check()
    clock.now += FIRST_S
    pause.check()


def test_one_that_held_for_long_is_renewed_at_once(tmp_path: Path):
    clock = Clock()
    pause = LoginPause([tmp_path / "kubeconfig"], clock)
    renewals(pause, clock, LAST_S)
    clock.now += STEADY_S
    pause.check()
