"""What every kind of tunnel offers: a byte stream to a port of the pod's loopback."""

from __future__ import annotations

from typing import Protocol

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost


class TunnelLost(ConnectionLost, anyio.BrokenResourceError):
    """A stream broke off; it is also what anyio's users of streams expect to catch."""


class Dialer(Protocol):
    """A way into one pod, by whatever kind of tunnel."""

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port` of the pod's loopback.

        Whether something listens there shows with the first byte, not here. Raises LoginExpired, Forbidden,
        SessionGone, or ConnectionLost when trying again may help.
        """
        ...
