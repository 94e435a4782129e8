"""Two byte streams joined: what comes out of one goes into the other, with the back-pressure of both."""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from paude.errors import PaudeError

LINGER_S = 5.0
_CHUNK = 64 * 1024


async def pump(one: ByteStream, other: ByteStream, *, linger: float = LINGER_S) -> Exception | None:
    """Carry bytes both ways until both ends are done, then close both; returns what broke it off, if anything did.

    When one direction ends, the other may go on for as long as a byte moves every `linger` seconds: a client
    that half-closes still gets its answer, and one that is gone does not hold a tunnel. A stream that breaks
    off ends both.
    """
    rest = _Rest(linger)
    try:
        async with anyio.create_task_group() as tasks:
            rest.scope = tasks.cancel_scope
            tasks.start_soon(_carry, one, other, rest)
            tasks.start_soon(_carry, other, one, rest)
    finally:
        with anyio.CancelScope(shield=True):
            await _close(one)
            await _close(other)
    return rest.error


class _Rest:
    """How long the remaining direction may be silent."""

    def __init__(self, linger: float) -> None:
        self.scope = anyio.CancelScope()
        self.error: Exception | None = None
        self._linger = linger
        self._ended = 0

    def moved(self) -> None:
        if self._ended:
            self.scope.deadline = anyio.current_time() + self._linger

    def ended(self) -> None:
        self._ended += 1
        self.moved()

    def broke(self, error: Exception) -> None:
        self.error = self.error or error
        self.scope.cancel()


async def _carry(source: ByteStream, sink: ByteStream, rest: _Rest) -> None:
    try:
        while True:
            await sink.send(await source.receive(_CHUNK))
            rest.moved()
    except anyio.EndOfStream:
        rest.ended()
        await _say_eof(sink)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, PaudeError) as exc:
        rest.broke(exc)


async def _say_eof(sink: ByteStream) -> None:
    try:
        await sink.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        return


async def _close(stream: ByteStream) -> None:
    try:
        await stream.aclose()
    except (anyio.BrokenResourceError, OSError):
        return
