"""A dial that does not hang for longer than this link gives reason for.

A kernel asks again after 1 s and then after 3 s, so a dial into a dead network that is given up after two seconds and
begun anew asks every second; left alone it would ask less and less often and miss the network's return.
"""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from paude.tunnel.base import Dialer

LEAST_S = 2.0
_TIMES = 8


class DialTimedOut(TimeoutError):
    """The dial took longer than a good one takes here."""


class TimedDialer:
    """A Dialer that gives up after 2 s, or after eight times what the last good dial took."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._usual: float | None = None

    async def dial(self, port: int) -> ByteStream:
        """As the one below; the first one has all the time it needs. Raises DialTimedOut."""
        limit = None if self._usual is None else max(LEAST_S, _TIMES * self._usual)
        began = anyio.current_time()
        with anyio.move_on_after(limit):
            stream = await self._dialer.dial(port)
            self._usual = anyio.current_time() - began
            return stream
        raise DialTimedOut
