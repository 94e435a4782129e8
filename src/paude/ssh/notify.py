"""The agent's bell becomes a notification of the desktop (OSC 9), in paude's own words. Pure but for the clock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from paude.ssh.screen import OutputFilter

APART_S = 10.0
# A bell that ends a title or a link is none.
_STRINGS = re.compile(rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class Notifier:
    """Stands behind the filter: it sees only what may pass, and never hands on a word of the agent's.

    At most one notification in ten seconds, however often the agent rings.
    """

    def __init__(self, inner: OutputFilter, session: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner, self._clock = inner, clock
        self._notification = b"\x1b]9;paude: %b waits for you\x07" % session.encode("ascii")
        self._last: float | None = None

    def feed(self, data: bytes) -> bytes:
        """What may pass, and the notification after it when there was a bell."""
        passed = self._inner.feed(data)
        if b"\x07" not in passed or b"\x07" not in _STRINGS.sub(b"", passed):
            return passed
        now = self._clock()
        if self._last is not None and now - self._last < APART_S:
            return passed
        self._last = now
        return passed + self._notification
