"""How long to wait before the next attempt: full jitter, doubling up to a limit, never nothing twice."""

from __future__ import annotations

import random

import anyio

FIRST_S = 0.2
LAST_ATTACHED_S = 5.0
LAST_BACKGROUND_S = 30.0


class Backoff:
    """Waits of `first` seconds at least, so never more than five tries in a second.

    `hurry` ends the wait that is running and begins again at `first`.
    """

    def __init__(self, last: float = LAST_BACKGROUND_S, first: float = FIRST_S) -> None:
        self._first = first
        self._last = last
        self._failures = 0
        self._scope: anyio.CancelScope | None = None

    def reset(self) -> None:
        """It worked."""
        self._failures = 0

    def hurry(self) -> None:
        """There is a reason to try now."""
        self._failures = 0
        if self._scope is not None:
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait before the next attempt."""
        self._failures += 1
        seconds = random.uniform(self._first, limit(self._failures, self._first, self._last))
        with anyio.CancelScope() as self._scope:
            await anyio.sleep(seconds)


def limit(failures: int, first: float, last: float) -> float:
    """The longest wait after so many failures."""
    return float(min(last, first * 2.0 ** min(failures, 30)))
