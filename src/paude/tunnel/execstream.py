"""The tunnel over a child's standard input and output, such as `podman exec -i … sshd -i`: one child per stream.

For places that have no port-forward. Which command makes a stream to which port, and what it means when the command
fails, is for the caller to say. Closing the stream ends the child.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream, Process

from paude import process
from paude.process import clean
from paude.tunnel.base import TunnelLost
from paude.tunnel.local import LocalStream

_WORDS = 2000  # of what the command said last
_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class ExecStreams:
    """A Dialer: `command` gives the words for a port; `failure` makes an error of an exit code and what was said."""

    command: Callable[[int], Sequence[str]]
    environment: Callable[[], Mapping[str, str]]
    failure: Callable[[int, str], Exception]

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port`. Raises ToolMissing; what else is wrong shows with the first byte."""
        near, far = socket.socketpair()
        try:
            async with AsyncExitStack() as stack:
                words, env = self.command(port), self.environment()
                child = await stack.enter_async_context(
                    process.started(words, stdin=far.fileno(), stdout=far.fileno(), env=env, new_session=True)
                )
                stream = await LocalStream.over(near)
                return ExecStream(stream, child, stack.pop_all(), self.failure)
        except BaseException:
            near.close()
            raise
        finally:
            far.close()


class ExecStream(ByteStream):
    """One stream. Raises what `failure` makes of it when the command fails."""

    def __init__(
        self, stream: LocalStream, child: Process, end: AsyncExitStack, failure: Callable[[int, str], Exception]
    ) -> None:
        self._stream = stream
        self._child = child
        self._end = end
        self._failure = failure

    async def receive(self, max_bytes: int = 64 * 1024) -> bytes:
        """The next bytes; EndOfStream when the command has ended well."""
        try:
            return await self._stream.receive(max_bytes)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as exc:
            raise await self._ending() from exc

    async def send(self, item: bytes) -> None:
        """Send all of `item`; waits while the command takes no more."""
        try:
            await self._stream.send(item)
        except anyio.BrokenResourceError as exc:
            raise TunnelLost("the tunnel broke off", why="its command has ended") from exc

    async def send_eof(self) -> None:
        """Half-close: the command's input ends, what it still prints comes."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it and end the command."""
        try:
            await self._stream.aclose()
        finally:
            await self._end.aclose()

    async def _ending(self) -> Exception:
        """What the end of the bytes means: the command's exit code tells."""
        said = b""
        with anyio.move_on_after(_LAST_WORDS_S):
            code = await self._child.wait()
            said = await self._said()
            return anyio.EndOfStream() if code == 0 else self._failure(code, _text(said))
        return TunnelLost("the tunnel broke off", why=_text(said) or "its command says nothing any more")

    async def _said(self) -> bytes:
        assert self._child.stderr is not None
        said = b""
        try:
            while True:
                said = (said + await self._child.stderr.receive())[-_WORDS:]
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return said


def _text(said: bytes) -> str:
    return clean(said.decode("utf-8", "replace")).strip()
