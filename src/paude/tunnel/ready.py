"""Reaching a server that may have been started a moment ago.

A port-forward to a port where nobody listens yet is accepted and then closed, so only the server's first words tell
that it is there. For protocols in which the server speaks first, such as ssh (RFC 4253, section 4.2).
"""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost, PaudeError, SessionGone
from paude.tunnel.base import Dialer

WITHIN_S = 30.0
_FIRST_PAUSE_S = 0.03
_LONGEST_PAUSE_S = 0.2


async def dial_when_ready(dialer: Dialer, port: int, within_s: float = WITHIN_S) -> ByteStream:
    """A stream on which the server has spoken already; its words are still to be read.

    A pod whose sandbox is not made yet is answered with 404, so that counts as not ready too. Raises ConnectionLost
    or SessionGone when nothing answers within `within_s` seconds, and at once what `dial` raises beside them.
    """
    last: PaudeError = ConnectionLost(f"nothing answers at port {port} of the pod")
    pause = _FIRST_PAUSE_S
    with anyio.move_on_after(within_s):
        while True:
            try:
                return await spoken(await dialer.dial(port))
            except (ConnectionLost, SessionGone) as exc:
                last = exc
            await anyio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
    raise last


async def spoken(stream: ByteStream) -> ByteStream:
    """The stream, once the server has spoken on it; its words are still to be read.

    Raises ConnectionLost when the port is closed, and closes the stream then.
    """
    try:
        return _Unread(stream, await stream.receive())
    except BaseException as exc:
        await anyio.aclose_forcefully(stream)
        if isinstance(exc, (anyio.EndOfStream, anyio.BrokenResourceError)):
            raise ConnectionLost("the port is closed") from exc
        raise


class _Unread(ByteStream):
    """A stream with bytes put back in front."""

    def __init__(self, stream: ByteStream, first: bytes) -> None:
        self._stream = stream
        self._first = first

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if self._first:
            taken, self._first = self._first[:max_bytes], self._first[max_bytes:]
            return taken
        return await self._stream.receive(max_bytes)

    def suspect(self, allowance: float) -> None:
        suspect = getattr(self._stream, "suspect", None)
        if suspect is not None:
            suspect(allowance)

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()
