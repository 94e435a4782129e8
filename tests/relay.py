"""A TCP relay whose link can be cut, stalled and delayed on command: the bad network of the tests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class Relay:
    """Carries TCP connections from `port` to `target`.

    `cut` breaks all connections and refuses new ones until `mend`; `stall` keeps them but moves no byte (a black
    hole) until `flow`; `delay` seconds are added to each chunk, each way. `dials` counts the connections accepted.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.dials = 0
        self.dial_times: list[float] = []
        self.moved = 0
        self.dialled = anyio.Event()
        self._up = True
        self._flowing = anyio.Event()
        self._flowing.set()
        self._live: set[SocketStream] = set()

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

    async def serve(self, listener: anyio.abc.Listener[SocketStream]) -> None:
        """Accept until cancelled."""
        await listener.serve(self._handle)

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
        self._live |= {near, far}
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._carry, near, far, tasks)
                tasks.start_soon(self._carry, far, near, tasks)
        finally:
            self._live -= {near, far}

    async def _carry(self, source: ByteStream, sink: ByteStream, tasks: TaskGroup) -> None:
        with suppress(*_GONE):
            while True:
                data = await source.receive()
                if self.delay:
                    await anyio.sleep(self.delay)
                await self._flowing.wait()
                await sink.send(data)
                self.moved += len(data)
        tasks.cancel_scope.cancel()


def _reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    with suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def relay(target: tuple[str, int]) -> AsyncIterator[Relay]:
    """A running relay on a loopback port of its own."""
    one = Relay(target)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    one.port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(one.serve, listener.listeners[0])
        yield one
        one.flow()
        tasks.cancel_scope.cancel()
