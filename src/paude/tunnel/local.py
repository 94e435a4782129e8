"""A byte stream over a connected local socket, with bounds on what is read ahead and on what waits to be written.

Not anyio's: its stream for unix sockets reports an invalid state to the event loop when it is cancelled in the very
turn in which bytes arrive, and its TCP streams read ahead without bounds until the first receive.
"""

from __future__ import annotations

import asyncio
import socket

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

_READ_AHEAD = 128 * 1024
_WRITE_LIMIT = 64 * 1024
_CLOSE_S = 1.0


class LocalStream(asyncio.Protocol, ByteStream):
    """Both the protocol that asyncio calls back and the stream. One reader and one writer at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._ended = False
        self._closed = False

    @classmethod
    async def over(cls, sock: socket.socket) -> LocalStream:
        """A stream over `sock`, which it owns from now on."""
        sock.setblocking(False)
        try:
            _, stream = await asyncio.get_running_loop().create_connection(cls, sock=sock)
        except BaseException:
            sock.close()
            raise
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_LIMIT)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes; enough of them stop the reading."""
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) >= _READ_AHEAD:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Remember it; writing may go on."""
        self._ended = True
        self._arrived.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody."""
        self._ended = True
        self._arrived.set()
        self._writable.set()
        self._gone.set()

    def pause_writing(self) -> None:
        """The other end takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other end takes more."""
        self._writable.set()

    async def receive(self, max_bytes: int = 64 * 1024) -> bytes:
        """The next bytes; EndOfStream when the other end has ended."""
        while not self._buffer:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._ended:
                raise anyio.EndOfStream
            self._arrived.clear()
            self._transport.resume_reading()
            await self._arrived.wait()
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        return data

    async def send(self, item: bytes) -> None:
        """Send all of `item`; waits while more than 64 KiB wait for the other end."""
        await anyio.lowlevel.checkpoint()  # an end that takes everything at once must not keep all others waiting
        self._check()
        self._transport.write(item)
        await self._writable.wait()
        self._check()

    async def send_eof(self) -> None:
        """Half-close; reading may go on."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    async def aclose(self) -> None:
        """Close; what still waits to be written has a second to leave."""
        self._closed = True
        self._transport.close()
        self._arrived.set()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
            await self._gone.wait()
        self._transport.abort()

    def _check(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._gone.is_set():
            raise anyio.BrokenResourceError
