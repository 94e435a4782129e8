"""A stream with bytes put back in front."""

from __future__ import annotations

from anyio.abc import ByteStream

from paude.tunnel.base import Suspectable


class Unread(ByteStream):
    """`stream`, whose `first` bytes were read already and are read once more."""

    def __init__(self, first: bytes, stream: ByteStream) -> None:
        self._first = first
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes."""
        if not self._first:
            return await self._stream.receive(max_bytes)
        data, self._first = self._first[:max_bytes], self._first[max_bytes:]
        return data

    async def send(self, item: bytes) -> None:
        """Send `item`."""
        await self._stream.send(item)

    async def send_eof(self) -> None:
        """Half-close."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()

    def suspect(self, allowance: float = 1.0) -> None:
        """Ask the other end, where the stream can."""
        if isinstance(self._stream, Suspectable):
            self._stream.suspect(allowance)
