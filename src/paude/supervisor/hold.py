"""Clients of the socket: held while the way to the pod is down, joined to it as soon as the pod speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost
from paude.tunnel.backoff import Backoff
from paude.tunnel.base import Dialer
from paude.tunnel.relay import pump

HOLD_S = 60.0
FIRST_BYTE_S = 15.0


class Prefixed(ByteStream):
    """A stream whose first bytes were already read."""

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


class Road:
    """The way to one port of one pod. However many clients wait for it, one of them tries at a time."""

    def __init__(self, resolve: Callable[[], Awaitable[Dialer]], port: int, *, hold: float = HOLD_S) -> None:
        self._resolve = resolve
        self._port = port
        self._hold = hold
        self._turn = anyio.Lock()
        self._backoff = Backoff()
        self.failure = ""

    def hurry(self) -> None:
        """There is a reason to try now."""
        self._backoff.hurry()

    async def join(self, client: ByteStream) -> Exception | None:
        """Join `client` to the pod until one of them ends; what broke it off, if anything did.

        An sshd speaks first, so a way that has brought a byte is a way that works; until then the client is held and
        notices nothing of the tries. Raises ConnectionLost when none works within `hold` seconds, and at once
        whatever trying again cannot heal.
        """
        try:
            with anyio.fail_after(self._hold):
                stream = await self._found()
        except TimeoutError as exc:
            raise ConnectionLost("no way to the pod", why=self.failure or f"none in {self._hold:g} s") from exc
        return await pump(client, stream)

    async def _found(self) -> ByteStream:
        async with self._turn:
            while True:
                try:
                    stream = await self._speaking()
                except ConnectionLost as exc:
                    self.failure = str(exc)
                    await self._backoff.wait()
                else:
                    self.failure = ""
                    self._backoff.reset()
                    return stream

    async def _speaking(self) -> ByteStream:
        stream = await (await self._resolve()).dial(self._port)
        try:
            with anyio.fail_after(FIRST_BYTE_S):
                return Prefixed(await stream.receive(), stream)
        except (TimeoutError, anyio.EndOfStream) as exc:
            await stream.aclose()
            raise ConnectionLost("the pod does not answer", why=f"port {self._port} says nothing") from exc
        except BaseException:
            await stream.aclose()
            raise
