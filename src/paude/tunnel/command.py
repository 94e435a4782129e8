"""The tunnel by another program's port-forward, such as `kubectl port-forward`: one child per stream.

For networks that let no WebSocket of paude's through. A child of its own for each stream, because such a program ends
all of its connections when one of them fails. It listens on a loopback port that the kernel chose; behind it is an
sshd that knows one key. Closing the stream ends the child.
"""

from __future__ import annotations

import asyncio
import re
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

OPEN_S = 10.0
_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")
_WORDS = 2000


@dataclass(frozen=True)
class PortForwardCommand:
    """A Dialer: `command` gives the words for a port; `failure` makes an error of an exit code and what was said."""

    command: Callable[[int], Sequence[str]]
    environment: Callable[[], Mapping[str, str]]
    failure: Callable[[int, str], Exception]

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port`. Raises ToolMissing, TunnelLost, and what `failure` makes."""
        async with AsyncExitStack() as stack:
            words, env = self.command(port), self.environment()
            child = await stack.enter_async_context(process.started(words, env=env, new_session=True))
            heard = _Heard(child)
            local = await self._listening(heard)
            stream = await _connected(local)
            return CommandStream(stream, heard, stack.pop_all())

    async def _listening(self, heard: _Heard) -> int:
        with anyio.move_on_after(OPEN_S):
            found = await heard.until(_FORWARDING)
            if found is not None:
                return int(found[1])
            raise self.failure(await heard.child.wait(), await heard.complaint())
        raise TunnelLost("no tunnel to the pod", why="the program says nothing")


class CommandStream(ByteStream):
    """One stream. Raises TunnelLost when it breaks off, with what the program said if it said anything."""

    def __init__(self, stream: LocalStream, heard: _Heard, end: AsyncExitStack) -> None:
        self._stream = stream
        self._heard = heard
        self._end = end

    async def receive(self, max_bytes: int = 64 * 1024) -> bytes:
        """The next bytes; EndOfStream when the program in the pod has closed its end."""
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            if said := await self._heard.complaint():
                raise TunnelLost("the tunnel broke off", why=said) from None
            raise
        except anyio.BrokenResourceError as exc:
            raise TunnelLost("the tunnel broke off", why=await self._heard.complaint()) from exc

    async def send(self, item: bytes) -> None:
        """Send all of `item`; waits while the program takes no more."""
        try:
            await self._stream.send(item)
        except anyio.BrokenResourceError as exc:
            raise TunnelLost("the tunnel broke off", why=await self._heard.complaint()) from exc

    async def send_eof(self) -> None:
        """Half-close."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it and end the program."""
        try:
            await self._stream.aclose()
        finally:
            await self._end.aclose()


class _Heard:
    """What the program says: its standard output up to a line that is waited for, and its complaints."""

    def __init__(self, child: Process) -> None:
        self.child = child
        self._complaint = b""
        self._reading = anyio.Lock()  # reader and writer of the stream may both want to know

    async def until(self, wanted: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The first line like `wanted`; None when the output ends without one."""
        assert self.child.stdout is not None
        said = b""
        while (found := wanted.search(said)) is None:
            try:
                said = (said + await self.child.stdout.receive())[-_WORDS:]
            except anyio.EndOfStream:
                return None
        return found

    async def complaint(self) -> str:
        """What it wrote to its standard error so far, made safe."""
        assert self.child.stderr is not None
        async with self._reading:
            with anyio.move_on_after(_COMPLAINT_S):
                try:
                    while True:
                        self._complaint = (self._complaint + await self.child.stderr.receive())[-_WORDS:]
                except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass
        return clean(self._complaint.decode("utf-8", "replace")).strip()


_COMPLAINT_S = 0.3  # a program that lives says no end


async def _connected(port: int) -> LocalStream:
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except OSError as exc:
        sock.close()
        raise TunnelLost("no tunnel to the pod", why=str(exc)) from exc
    except BaseException:
        sock.close()
        raise
    return await LocalStream.over(sock)
