"""A websocket that watches over its own liveness: callbacks of the event loop, no task, nothing that outlives it."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection

from paude.tunnel.liveness import Liveness, Sample, Verdict

_NOTSENT_LOWAT = 128 * 1024
_KEEPALIVE_S = (15, 5, 3)  # idle, interval, count
_TIOCOUTQ = 0x5411  # Linux, asm-generic/ioctls.h: bytes of a socket that are not acknowledged
_TCP_NOTSENT_LOWAT = 25 if sys.platform == "linux" else 0x201


class WatchedConnection(ClientConnection):
    """Pings when nothing comes, breaks off when nothing moves; `verdict` says why it did.

    Its owner counts in `handed` the bytes that it sends.
    """

    verdict = ""
    handed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the socket and begin to watch."""
        super().connection_made(transport)
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
        super().data_received(data)

    def suspect(self, allowance: float) -> None:
        """Ask now, and give it `allowance` seconds."""
        self._liveness.suspect(self.loop.time(), allowance)
        self._timer.cancel()
        self._look()

    def _look(self) -> None:
        verdict = self._liveness.judge(self.loop.time(), self._sample())
        if verdict is Verdict.DEAD:
            self.verdict = "nothing moves any more"
            self.transport.abort()
            return
        if verdict is Verdict.PING and not self.protocol.close_expected():
            self.protocol.send_ping(b"")
            self.send_data()
        self._timer = self.loop.call_later(self._liveness.pause, self._look)

    def _sample(self) -> Sample:
        return Sample(self.handed, self._buffered(), _unanswered(self._socket), self.recv_messages.paused)

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
    except OSError:
        return 0


def _unanswered(sock: Any) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    except OSError:
        return None
    return int(info[2]) + int(info[3])  # linux/tcp.h: tcpi_retransmits, tcpi_probes
