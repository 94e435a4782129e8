"""Reaching a server that may have been started a moment ago.

A port-forward to a port where nobody listens yet is accepted and then closed, so only the server's first words tell
that it is there. For protocols in which the server speaks first, such as ssh (RFC 4253, section 4.2).
"""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost, PaudeError, SessionGone
from paude.tunnel.base import Dialer
from paude.tunnel.unread import Unread

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
        return Unread(await stream.receive(), stream)
    except BaseException as exc:
        await anyio.aclose_forcefully(stream)
        if isinstance(exc, (anyio.EndOfStream, anyio.BrokenResourceError)):
            raise ConnectionLost("the port is closed") from exc
        raise
