"""What every kind of tunnel offers: a byte stream to a port of the pod's loopback."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Suspectable(Protocol):
    """A stream that can find out whether it lives."""

    def suspect(self, allowance: float = 1.0) -> None:
        """Ask the other end now; without any progress for `allowance` seconds the stream breaks off."""
        ...
