"""A bad network on command: a TCP relay whose link is cut, stalled, forgotten, delayed or throttled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)
_CHUNK = 16 * 1024
_BACKLOG = 1024


class Relay:
    """Carries TCP connections from `port` to `target`.

    `cut` breaks all connections and refuses new ones until `mend`; `stall` keeps them but moves no byte (a black
    hole) until `flow`; `forget` does so for the present ones and for ever; `darken` stalls, and loses the packets of
    new connections too, until `lighten`. `delay` seconds are added to each chunk,
    each way; `rate` bytes a second are all that leave the near side, over all connections together. `dials` counts
    the connections accepted, `dial_times` says when, `moved` counts bytes, `turns` how often a connection's far side
    answered: the most of one connection is how many round trips were made one after the other. `trips` is the same
    over all connections: each chunk carries how many were made before it was sent, as a logical clock does.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.rate = 0.0
        self.dials = 0
        self.dial_times: list[float] = []
        self.moved = 0
        self.turns: list[int] = []
        self.trips = 0
        self._arrived = 0
        self.dialled = anyio.Event()
        self._up = True
        self._flowing = anyio.Event()
        self._flowing.set()
        self._live: set[SocketStream] = set()
        self._forgotten: set[SocketStream] = set()
        self._uplink = anyio.Lock()
        self._listener = socket.socket()
        self._dark: socket.socket | None = None
        self._accepting = anyio.CancelScope()
        self._lit = anyio.Event()

    def cut(self) -> None:
        """Break everything, like a cable pulled with resets; new connections are closed at once."""
        self._up = False
        for stream in list(self._live):
            _reset(stream)

    def mend(self) -> None:
        """Let new connections through again."""
        self._up = True

    def stall(self) -> None:
        """Swallow everything silently."""
        if self._flowing.is_set():
            self._flowing = anyio.Event()

    def flow(self) -> None:
        """Move bytes again, the held ones first."""
        self._flowing.set()

    def forget(self) -> None:
        """Swallow what belongs to the present connections, as a router does that was restarted meanwhile."""
        self._forgotten |= self._live

    def darken(self) -> None:
        """Lose every packet. A listener whose queue is full answers no new connection: its kernel asks again later."""
        self.stall()
        self._lit = anyio.Event()
        self._accepting.cancel()
        self._listener.listen(0)
        self._dark = socket.socket()
        self._dark.setblocking(False)
        self._dark.connect_ex(self._listener.getsockname())

    def lighten(self) -> None:
        """Carry everything again."""
        if self._dark is not None:
            self._dark.close()
            self._dark = None
        self._listener.listen(_BACKLOG)
        self._lit.set()
        self.flow()

    async def serve(self) -> None:
        """Listen, and accept until cancelled."""
        loop = asyncio.get_running_loop()
        self._lit.set()
        with self._listener:
            async with anyio.create_task_group() as tasks:
                while True:
                    await self._lit.wait()
                    with anyio.CancelScope() as self._accepting:
                        near, _ = await loop.sock_accept(self._listener)
                        tasks.start_soon(self._handle_socket, near)

    def listen(self) -> None:
        """Take a loopback port."""
        self._listener.setblocking(False)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(_BACKLOG)
        self.port = self._listener.getsockname()[1]

    async def _handle_socket(self, raw: socket.socket) -> None:
        await self._handle(await SocketStream.from_socket(raw))

    async def _handle(self, near: SocketStream) -> None:
        self.dials += 1
        self.dial_times.append(anyio.current_time())
        self.dialled.set()
        self.dialled = anyio.Event()
        async with near:
            if not self._up:
                _reset(near)
                return
            await self._flowing.wait()
            with suppress(*_GONE):
                async with await anyio.connect_tcp(*self.target) as far:
                    await self._join(near, far)

    async def _join(self, near: SocketStream, far: SocketStream) -> None:
        ends = {near, far}
        self._live |= ends
        turn = _Turn(self.turns)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._carry, near, far, tasks, turn, True)
                tasks.start_soon(self._carry, far, near, tasks, turn, False)
        finally:
            self._live -= ends
            self._forgotten -= ends

    async def _carry(self, source: SocketStream, sink: ByteStream, tasks: TaskGroup, turn: _Turn, up: bool) -> None:
        with suppress(*_GONE):
            while True:
                data = await source.receive(_CHUNK if up and self.rate else 65536)
                made = self.trips if up else self._arrived + 1
                if self.delay:
                    await anyio.sleep(self.delay)
                if up and self.rate:
                    async with self._uplink:
                        await self._throttle(len(data))
                await self._flowing.wait()
                if source in self._forgotten:
                    continue
                await sink.send(data)
                turn.take(up)
                self._count(made, up)
                self.moved += len(data)
        if source in self._forgotten and not up:
            await anyio.sleep_forever()
        tasks.cancel_scope.cancel()

    def _count(self, made: int, up: bool) -> None:
        if up:
            self._arrived = max(self._arrived, made)
        else:
            self.trips = max(self.trips, made)

    async def _throttle(self, size: int) -> None:
        if self.rate:  # it may have been lifted while others were sent
            await anyio.sleep(size / self.rate)


class _Turn:
    """Who spoke last on one connection."""

    def __init__(self, turns: list[int]) -> None:
        self._turns, self._number, self._asked = turns, len(turns), False
        turns.append(0)

    def take(self, up: bool) -> None:
        if self._asked and not up:
            self._turns[self._number] += 1
        self._asked = up


def _reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    with suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def relay(target: tuple[str, int]) -> AsyncIterator[Relay]:
    """A running relay on a loopback port of its own."""
    one = Relay(target)
    one.listen()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.serve)
        yield one
        one.lighten()
        tasks.cancel_scope.cancel()


def through(relay: Relay, kubeconfig: Mapping[str, Any]) -> dict[str, Any]:
    """A kubeconfig of one cluster with the relay's address; the certificate is still that of the real one."""
    (entry,) = kubeconfig["clusters"]
    server = urlsplit(entry["cluster"]["server"])
    named = {"tls-server-name": entry["cluster"].get("tls-server-name") or server.hostname}
    address = f"{server.scheme}://127.0.0.1:{relay.port}{server.path}"
    cluster = {**entry["cluster"], "server": address, **(named if server.scheme == "https" else {})}
    return {**kubeconfig, "clusters": [{**entry, "cluster": cluster}]}
