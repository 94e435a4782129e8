"""Clients of the socket: held while the way to the pod is down, joined to it as soon as the pod speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost, PaudeError
from paude.process import clean
from paude.tunnel.backoff import Backoff
from paude.tunnel.base import Dialer, Suspectable
from paude.tunnel.relay import pump
from paude.tunnel.unread import Unread

HOLD_S = 60.0
FIRST_BYTE_S = 15.0
SUSPECT_S = 1.0


class Road:
    """The way to one port of one pod. However many clients wait for it, one of them tries at a time."""

    def __init__(
        self,
        resolve: Callable[[], Awaitable[Dialer]],
        port: int,
        *,
        hold: float = HOLD_S,
        backoff: Backoff | None = None,
        works_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._resolve, self._works_again = resolve, works_again
        self._port = port
        self._hold = hold
        self._turn = anyio.Lock()
        self._backoff = backoff or Backoff()
        self._attempt = anyio.CancelScope()
        self._open: set[ByteStream] = set()
        self.failure = ""

    def hurry(self) -> None:
        """Another way to that pod works again: let this one not wait for its time."""
        self._backoff.hurry()

    def look(self) -> None:
        """The network may be another one: try anew at once, and ask the streams that are open whether they live."""
        self._backoff.hurry()
        self._attempt.cancel()
        for stream in self._open:
            if isinstance(stream, Suspectable):
                stream.suspect(SUSPECT_S)

    async def join(self, client: ByteStream, *, told: bool = False) -> Exception | None:
        """Join `client` to the pod until one of them ends; what broke it off, if anything did.

        An sshd speaks first, so a way that has brought a byte is a way that works; until then the client is held and
        notices nothing of the tries. One that wants to be `told` gets a line of its own first. Raises ConnectionLost
        when no way works within `hold` seconds, and at once whatever trying again cannot heal.
        """
        try:
            stream, first = await self._in_time()
        except PaudeError as exc:
            if told:
                await client.send(f"no {_sentence(exc)}\n".encode())
            raise
        self._open.add(stream)
        if told:
            first = b"ok\n" + first
        try:
            return await pump(client, Unread(first, stream))
        finally:
            self._open.discard(stream)

    async def _in_time(self) -> tuple[ByteStream, bytes]:
        try:
            with anyio.fail_after(self._hold):
                return await self._found()
        except TimeoutError as exc:
            raise ConnectionLost("no way to the pod", why=self.failure or f"none in {self._hold:g} s") from exc

    async def _found(self) -> tuple[ByteStream, bytes]:
        async with self._turn:
            while True:
                found = None
                await self._backoff.apart()
                with anyio.CancelScope() as self._attempt:
                    found = await self._tried()
                if found is not None:
                    return found
                if not self._attempt.cancelled_caught:
                    await self._backoff.wait()

    async def _tried(self) -> tuple[ByteStream, bytes] | None:
        try:
            found = await self._speaking()
        except ConnectionLost as exc:
            self.failure = str(exc)
            return None
        failed, self.failure = self.failure, ""
        self._backoff.reset()
        if failed:
            self._works_again()
        return found

    async def _speaking(self) -> tuple[ByteStream, bytes]:
        stream = await (await self._resolve()).dial(self._port)
        try:
            with anyio.fail_after(FIRST_BYTE_S):
                return stream, await stream.receive()
        except (TimeoutError, anyio.EndOfStream) as exc:
            await stream.aclose()
            raise ConnectionLost("the pod does not answer", why=f"port {self._port} says nothing") from exc
        except BaseException:
            await stream.aclose()
            raise


class Roads:
    """The ways to all pods, by session and port; `resolve` finds the way to a session's pod.

    `good` is told the session whose pod is reached again, by one of them or, as somebody said, by a way of his own.
    """

    def __init__(
        self,
        resolve: Callable[[str], Awaitable[Dialer]],
        *,
        hold: float = HOLD_S,
        backoff: Callable[[], Backoff] = Backoff,
        good: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._resolve, self._hold, self._backoff, self._good = resolve, hold, backoff, good
        self._roads: dict[tuple[str, int], Road] = {}

    def to(self, name: str, port: int) -> Road:
        """The way to `port` of the session's pod."""
        key = (name, port)
        if key not in self._roads:
            self._roads[key] = Road(
                lambda: self._resolve(name),
                port,
                hold=self._hold,
                backoff=self._backoff(),
                works_again=lambda: self._works_again(name),
            )
        return self._roads[key]

    def _works_again(self, name: str) -> None:
        for (one, _), road in self._roads.items():
            if one == name:
                road.hurry()
        self._good(name)

    def forget(self, name: str) -> None:
        """The session is none any more."""
        self._roads = {key: road for key, road in self._roads.items() if key[0] != name}

    def look(self) -> None:
        """The network may be another one."""
        for road in self._roads.values():
            road.look()
        for name in {name for name, _ in self._roads}:
            self._good(name)

    def failure(self, name: str) -> str:
        """What keeps the session's clients waiting; empty when nothing does."""
        return next((road.failure for (one, _), road in self._roads.items() if one == name and road.failure), "")


def _sentence(error: PaudeError) -> str:
    said = f"{error.what}: {error.why}" if error.why else error.what
    return " ".join(clean(f"{said}; {error.hint}" if error.hint else said).split())
