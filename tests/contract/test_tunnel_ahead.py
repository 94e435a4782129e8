"""A stream that is dialled before it is asked for, to a real listener that counts who came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from paude.errors import ConnectionLost
from paude.tunnel.ahead import ahead

PORT = 2223


@dataclass
class Place:
    """Where streams lead: it tells how many came and went, and names each by its number."""

    port: int = 0
    came: int = 0
    gone: int = 0
    failures: list[ConnectionLost] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def dial(self, port: int) -> ByteStream:
        if self.failures:
            raise self.failures.pop()
        return await anyio.connect_tcp("127.0.0.1", self.port)

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            self.came += 1
            self._tell()
            await stream.send(b"%d" % self.came)
            with suppress(anyio.BrokenResourceError):
                async for _ in stream:
                    pass
        self.gone += 1
        self._tell()

    async def sees(self, came: int, gone: int) -> None:
        with anyio.fail_after(10):
            while (self.came, self.gone) != (came, gone):
                await self.changed.wait()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


@asynccontextmanager
async def listening(place: Place) -> AsyncIterator[Place]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        place.port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, place.serve)
        yield place
        tasks.cancel_scope.cancel()


async def test_the_first_stream_is_there_before_it_is_asked_for_and_the_next_is_another():
    async with listening(Place()) as place, ahead(place, PORT) as way:
        await place.sees(1, 0)
        async with await way.dial(PORT) as first, await way.dial(PORT) as second:
            assert [await first.receive(), await second.receive()] == [b"1", b"2"]
        await place.sees(2, 2)


async def test_what_nobody_takes_is_closed():
    async with listening(Place()) as place:
        async with ahead(place, PORT) as way:
            await place.sees(1, 0)
            async with await way.dial(PORT + 1) as other:
                assert await other.receive() == b"2", "to another port it is of no use"
        await place.sees(2, 2)


async def test_a_failure_is_told_to_the_first_who_asks_and_the_next_tries_anew():
    async with listening(Place(failures=[ConnectionLost("no way")])) as place, ahead(place, PORT) as way:
        with pytest.raises(ConnectionLost, match="no way"):
            await way.dial(PORT)
        async with await way.dial(PORT) as stream:
            assert await stream.receive() == b"1"


async def test_who_gives_up_waiting_for_it_leaves_nothing_open():
    release = anyio.Event()

    class Slow(Place):
        async def dial(self, port: int) -> ByteStream:
            await release.wait()
            return await super().dial(port)

    async with listening(Slow()) as place:
        async with ahead(place, PORT) as way:
            with anyio.move_on_after(0.01):
                await way.dial(PORT)
            release.set()
            await place.sees(1, 0)
        await place.sees(1, 1)
