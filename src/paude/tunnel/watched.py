"""A websocket of binary messages that watches over its own liveness and keeps bulk data out of the library's way.

The library does the handshake, the control frames and the closing. Messages are taken from the bytes as they come and
written as they are: one wake-up for a whole read, not one for each message. No task, nothing that outlives it.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from paude.tunnel.frames import BadFrame, Control, Part, ServerFrames
from paude.tunnel.liveness import Liveness, Sample, Verdict

_NOTSENT_LOWAT = 128 * 1024
_KEEPALIVE_S = (15, 5, 3)  # idle, interval, count
_TIOCOUTQ = 0x5411  # Linux, asm-generic/ioctls.h: bytes of a socket that are not acknowledged
_TCP_NOTSENT_LOWAT = 25 if sys.platform == "linux" else 0x201
_HEAD_ENDS = b"\r\n\r\n"
_SWITCHING = b"HTTP/1.1 101 "


class WatchedConnection(ClientConnection):
    """Pings when nothing comes, breaks off when nothing moves; `verdict` says why it did.

    A subclass takes the pieces of messages in `arrived`, and says in `is_full` whether it can hold no more.
    """

    verdict = ""

    def arrived(self, part: Part) -> None:
        """Take a piece of a message; it may be kept. Raises BadFrame to break off."""
        raise NotImplementedError

    @property
    def is_full(self) -> bool:
        """Whether reading has to wait until `resume` is called."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the socket and begin to watch."""
        super().connection_made(transport)
        self._frames = ServerFrames()
        self._head = b""
        self._refused = False
        self._paused_reading = False
        self._handed = 0
        self._liveness = Liveness(self.loop.time())
        self._socket = transport.get_extra_info("socket")
        _tune(self._socket)
        self._timer = self.loop.call_later(self._liveness.pause, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Anything that comes in is a sign of life."""
        self._liveness.received(self.loop.time())
        if self.protocol.state is State.CONNECTING:
            data = self._greeted(data)
        try:
            for found in self._frames.feed(data):
                if isinstance(found, Control):
                    super().data_received(found.raw)
                else:
                    self.arrived(found)
        except BadFrame as exc:
            self.verdict = f"the other end does not keep to the protocol: {exc}"
            self.transport.abort()
            return
        if self.is_full and not self._paused_reading:
            self._paused_reading = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused_reading:
            self._paused_reading = False
            self.transport.resume_reading()

    async def send_message(self, message: bytes) -> None:
        """Send a binary message as one frame; waits while the kernel takes no more. Raises ConnectionClosed."""
        if self.protocol.state is not State.OPEN:
            await asyncio.shield(self.connection_lost_waiter)
            raise self.close_exc
        frame = Frame(Opcode.BINARY, message).serialize(mask=True)
        self._handed += len(frame)
        self.transport.write(frame)
        try:
            await self.drain()
        except OSError as exc:
            raise self.close_exc from exc

    def suspect(self, allowance: float) -> None:
        """Ask now, and give it `allowance` seconds. One that is over already has nobody to ask."""
        if self.protocol.state is State.CLOSED:
            return
        self._liveness.suspect(self.loop.time(), allowance)
        self._timer.cancel()
        self._look()

    def _greeted(self, data: bytes) -> bytes:
        """Give the library the answer to the handshake and nothing after it; what came after it."""
        self._head += data
        self._refused = self._refused or not self._head.startswith(_SWITCHING[: len(self._head)])
        if self._refused:
            data, self._head = self._head, b""
            super().data_received(data)
            return b""
        head, end, rest = self._head.partition(_HEAD_ENDS)
        if not end:
            return b""
        super().data_received(head + end)
        return rest

    def _look(self) -> None:
        verdict = self._liveness.judge(self.loop.time(), self._sample())
        if verdict is Verdict.DEAD:
            self.verdict = "nothing moves any more"
            self.transport.abort()
            return
        if verdict is Verdict.PING and self.protocol.state is State.OPEN:
            self.protocol.send_ping(b"")
            self.send_data()
        self._timer = self.loop.call_later(self._liveness.pause, self._look)

    def _sample(self) -> Sample:
        return Sample(self._handed, self._buffered(), _unanswered(self._socket), self._paused_reading)

    def _buffered(self) -> int:
        return int(self.transport.get_write_buffer_size()) + _outgoing(self._socket)


def _tune(sock: Any) -> None:
    idle, interval, count = _KEEPALIVE_S
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOTSENT_LOWAT)]
    # No TCP_USER_TIMEOUT: it also ends a connection whose peer keeps its window closed for that long.
    for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", interval), ("TCP_KEEPCNT", count)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    for level, option, setting in options:
        try:
            sock.setsockopt(level, option, setting)
        except OSError:
            continue


def _outgoing(sock: Any) -> int:
    if sys.platform != "linux":
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):  # the second for a socket that is closed
        return 0


def _unanswered(sock: Any) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    except OSError:
        return None
    return int(info[2]) + int(info[3])  # linux/tcp.h: tcpi_retransmits, tcpi_probes
