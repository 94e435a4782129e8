"""A port of the pod's loopback on this machine, as `ssh -L` does it, but the listener outlives the connection.

What comes through is the agent's: it is bytes here, for whatever program the user points at the listener.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum

import anyio
from anyio.abc import ByteStream, TaskGroup

from paude.errors import ConnectionLost, PaudeError, UsageError
from paude.ssh.connection import Connection, mapped
from paude.ssh.library import asyncssh
from paude.tunnel.backoff import LAST_ATTACHED_S, Backoff
from paude.tunnel.base import TunnelLost
from paude.tunnel.local import LocalStream
from paude.tunnel.relay import pump

LOOPBACK = "127.0.0.1"
HOLD_S = 30.0
_KEEPALIVE = (5.0, 2)  # seconds of silence, questions without an answer
_BACKLOG = 64

Opened = Callable[[], AbstractAsyncContextManager[Connection]]


class News(Enum):
    """What its user is told."""

    LIVE = "live"
    LOST = "lost"
    REFUSED = "refused"


def listening(port: int) -> socket.socket:
    """A socket that listens on `port` of this machine's loopback (0: any that is free). Raises UsageError."""
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setblocking(False)
        one.bind((LOOPBACK, port))
        one.listen(_BACKLOG)
    except OSError as exc:
        one.close()
        why, hint = exc.strerror or str(exc), "another one: paude forward NAME LOCAL:PORT"
        raise UsageError(f"port {port} of this machine cannot be used", why=why, hint=hint) from exc
    return one


async def forward(listener: socket.socket, port: int, opened: Opened, told: Callable[[News], None]) -> None:
    """Carry every connection to `listener` to `port` of the pod's loopback, until cancelled.

    `opened` opens a connection to the pod, again and again for as long as it raises ConnectionLost; whatever else it
    raises ends this. `told` hears when the link comes and goes, and when nobody listens at `port`; each change once.
    Clients wait for the link for up to `HOLD_S` seconds.
    """
    way = _Way(opened, port, told)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(way.keep, tasks)
        tasks.start_soon(way.accept, listener, tasks)
    if way.failure is not None:
        raise way.failure


class _Way:
    """The connection of the moment, or none."""

    def __init__(self, opened: Opened, port: int, told: Callable[[News], None]) -> None:
        self._opened, self._port, self._told = opened, port, told
        self._connection: Connection | None = None
        self._changed = anyio.Event()
        self._refused = False
        self.failure: PaudeError | None = None

    async def keep(self, tasks: TaskGroup) -> None:
        """Have a connection, whenever there can be one."""
        backoff = Backoff(LAST_ATTACHED_S)
        while self.failure is None:
            try:
                async with self._opened() as connection:
                    connection.keepalive(*_KEEPALIVE)
                    backoff.reset()
                    self._become(connection)
                    await connection.raw.wait_closed()
            except ConnectionLost:
                pass
            except PaudeError as exc:
                self.failure = exc
            self._become(None)
            await backoff.wait()
        tasks.cancel_scope.cancel()

    async def accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        """Take clients."""
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            tasks.start_soon(self._carry, client)

    async def _carry(self, client: socket.socket) -> None:
        near = await LocalStream.over(client)
        far = await self._far()
        if far is None:
            await near.aclose()
        else:
            await pump(near, far)

    async def _far(self) -> ByteStream | None:
        with anyio.move_on_after(HOLD_S):
            while True:
                changed, connection = self._changed, self._connection
                if connection is not None:
                    try:
                        return await self._channel(connection)
                    except ConnectionLost:
                        connection.raw.abort()
                await changed.wait()
        return None

    async def _channel(self, connection: Connection) -> ByteStream | None:
        with mapped():
            try:
                reader, writer = await connection.raw.open_connection(LOOPBACK, self._port)
            except asyncssh.ChannelOpenError as exc:
                if exc.code != asyncssh.OPEN_CONNECT_FAILED:
                    raise
                self._say_refused(True)
                return None
        self._say_refused(False)
        return ChannelStream(reader, writer)

    def _say_refused(self, refused: bool) -> None:
        if refused and not self._refused:
            self._told(News.REFUSED)
        self._refused = refused

    def _become(self, connection: Connection | None) -> None:
        if (connection is None) != (self._connection is None):
            self._told(News.LOST if connection is None else News.LIVE)
        self._connection = connection
        self._changed.set()
        self._changed = anyio.Event()


class ChannelStream(ByteStream):
    """A forwarded connection of asyncssh as a stream. Raises TunnelLost when it breaks off."""

    def __init__(self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes; EndOfStream when the program in the pod has closed its end."""
        try:
            data = await self._reader.read(max_bytes)
        except (asyncssh.Error, OSError) as exc:
            raise TunnelLost("the forwarded connection broke off") from exc
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Send all of `item`, at the other end's pace."""
        try:
            self._writer.write(item)
            await self._writer.drain()
        except (asyncssh.Error, OSError) as exc:
            raise TunnelLost("the forwarded connection broke off") from exc

    async def send_eof(self) -> None:
        """Half-close."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    async def aclose(self) -> None:
        """Close."""
        self._writer.close()
