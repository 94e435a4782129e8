"""A login that was refused is not renewed again at once: a plug-in may cost a second, or lock an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paude.backends.kubernetes import status

FIRST_S = 1.0
LAST_S = 30.0
STEADY_S = 300.0


class LoginPause:
    """Between two renewals: nothing after a long time, then longer and longer, and none once the kubeconfig changed."""

    def __init__(self, files: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._clock = tuple(files), clock
        self._renewed: float | None = None
        self._pause = 0.0
        self._seen = _stamps(self._files)

    def check(self) -> None:
        """Count a renewal that is to be made now. Raises LoginExpired when the last one was a moment ago."""
        now, seen = self._clock(), _stamps(self._files)
        since = STEADY_S if self._renewed is None else now - self._renewed
        if seen == self._seen and since < self._pause:
            raise status.login_expired()
        fresh = seen != self._seen or since >= STEADY_S
        self._pause = FIRST_S if fresh else min(LAST_S, 2 * self._pause)
        self._renewed, self._seen = now, seen


def _stamps(files: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
