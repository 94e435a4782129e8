"""How long to wait before the next attempt: full jitter, doubling up to a limit, never nothing twice.

With an average of 2.6 s between attempts a long outage is met with less than one in two seconds.
"""

from __future__ import annotations

import random

import anyio

FIRST_S = 0.2
LAST_ATTACHED_S = 5.0
LAST_BACKGROUND_S = 30.0
STEADY_S = 30.0
QUICK_ATTACHED = 5  # who is at the keyboard waits: a short cut is not to have grown the waits


class Backoff:
    """Waits of `first` seconds at least, so never more than five tries in a second.

    The waits grow after `quick` of them. `hurry` ends the wait that is running, as soon as `first` seconds of it have
    passed, and begins again at `first`.
    """

    def __init__(self, last: float = LAST_BACKGROUND_S, first: float = FIRST_S, *, quick: int = 0) -> None:
        self._first = first
        self._last = last
        self._quick = quick
        self._failures = 0
        self._soonest = 0.0
        self._scope: anyio.CancelScope | None = None

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
        self._soonest = 0.0

    def worked(self, seconds: float) -> None:
        """It worked for so long. What breaks at once, again and again, is no reason to begin anew."""
        if seconds >= STEADY_S:
            self.reset()

    def hurry(self) -> None:
        """There is a reason to try now."""
        self._failures = 0
        if self._scope is not None:
            self._scope.deadline = min(self._scope.deadline, self._soonest)

    @property
    def longest(self) -> float:
        """Seconds that the next wait may take at most."""
        return limit(max(1, self._failures + 1 - self._quick), self._first, self._last)

    async def wait(self) -> None:
        """Wait before the next attempt."""
        seconds = random.uniform(self._first, self.longest)
        self._failures += 1
        self._soonest = anyio.current_time() + self._first
        with anyio.move_on_after(seconds) as self._scope:
            await anyio.sleep_forever()

    async def apart(self) -> None:
        """Wait until `first` seconds after the last attempt that did not work, whoever made it.

        For attempts that many make in turn: one may have given up while it waited, or in the midst of its attempt.
        """
        await anyio.sleep_until(self._soonest)
        self._soonest = anyio.current_time() + self._first


def limit(failures: int, first: float, last: float) -> float:
    """The longest wait after so many failures."""
    return float(min(last, first * 2.0 ** min(failures, 30)))
