"""An SSH connection over a tunnel's stream, and commands over the connection.

asyncssh reads neither the user's configuration nor his agent here, and knows one host key only: the session's.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import anyio
from anyio.abc import ByteStream

from paude.errors import CommandFailed, ConnectionLost, LoginExpired, PaudeError, TimedOut
from paude.process import clean
from paude.ssh.channel import CollectingSession, CommandSession, LineSession
from paude.ssh.library import asyncssh
from paude.ssh.result import Result
from paude.ssh.ssh_config import CIPHERS, KEX, USER
from paude.tunnel.local import LocalStream
from paude.tunnel.relay import pump

LOGIN_S = 10.0
CLOSE_S = 1.0
_CHUNK = 128 * 1024
S = TypeVar("S", bound=CommandSession)


class HostKeyMismatch(PaudeError):
    """Something answers that is not the session's pod."""


class Connection:
    """An open connection; lives inside `connected`. `raw` is asyncssh's own, for the terminal."""

    def __init__(self, raw: asyncssh.SSHClientConnection) -> None:
        self.raw = raw

    def keepalive(self, interval: float, count: int = 1) -> None:
        """Ask after `interval` seconds of silence; lost after `count` more of them without an answer."""
        self.raw.set_keepalive(interval, count)

    async def run(
        self,
        command: str,
        *,
        stdin: bytes | AsyncIterable[bytes] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Run `command` to its end; `stdin` flows as fast as the other end takes it.

        A command that ends early leaves the rest of `stdin` unread. Raises TimedOut after `timeout` seconds,
        ConnectionLost, and whatever `stdin` raises.
        """
        feed = _Feed(stdin)
        with anyio.move_on_after(timeout), mapped():
            session = await self._run(command, feed)
            if feed.error is None:
                return Result(session.status(), bytes(session.stdout), bytes(session.stderr))
        if feed.error is not None:
            raise feed.error
        raise TimedOut(f"`{_name(command)}` in the pod did not end", why=f"{timeout:g} s have passed")

    @asynccontextmanager
    async def stream(self, command: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines that `command` prints, as they come and at the reader's pace; it is ended with the block.

        The iteration ends when the command ends with 0; otherwise it raises CommandFailed, or ConnectionLost.
        """
        with mapped():
            channel, session = await self._session(LineSession, command)
        try:
            yield self._lines(session, command)
        finally:
            await _end(channel)

    async def _lines(self, session: LineSession, command: str) -> AsyncIterator[str]:
        async for line in session.lines():
            yield line
        with mapped():
            status = session.status()
        if status:
            raise CommandFailed(shlex.split(command)[:1], status, session.stderr.decode("utf-8", "replace"))

    async def _run(self, command: str, feed: _Feed) -> CollectingSession:
        channel, session = await self._session(CollectingSession, command)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run, session)
                await session.closed.wait()
                tasks.cancel_scope.cancel()
        finally:
            await _end(channel)
        return session

    async def _session(self, kind: type[S], command: str) -> tuple[asyncssh.SSHClientChannel[bytes], S]:
        channel, session = await self.raw.create_session(kind, command, encoding=None)
        assert isinstance(session, kind)
        return channel, session


@asynccontextmanager
async def connected(
    stream: ByteStream,
    *,
    key: str,
    host_key: str,
    username: str = USER,
    keepalive: float = 15.0,
    unanswered: int = 3,
) -> AsyncIterator[Connection]:
    """An SSH connection through `stream`, which it closes at the end.

    `key` is the private key, `host_key` the only public key that the other end may have, both in OpenSSH's form.
    Raises HostKeyMismatch, LoginExpired when the key is refused, ConnectionLost with the tunnel's own reason.
    """
    trust = _trust(key, host_key)
    async with _owned(stream), _connected(stream, trust, username, keepalive, unanswered) as connection:
        yield connection


@asynccontextmanager
async def _owned(stream: ByteStream) -> AsyncIterator[None]:
    # The pump closes what it carries, but one that is cancelled before its first step carries nothing.
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError, OSError):
            await stream.aclose()


@asynccontextmanager
async def _connected(
    stream: ByteStream, trust: dict[str, Any], username: str, keepalive: float, unanswered: int
) -> AsyncIterator[Connection]:
    failure: Exception | None = None
    way = _Way(stream)
    near, far = socket.socketpair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(way.run, far)
        try:
            with mapped():
                raw = await asyncssh.connect(
                    sock=near,
                    **trust,
                    username=username,
                    **_SETTINGS,
                    keepalive_interval=keepalive,
                    keepalive_count_max=unanswered,
                )
            try:
                yield Connection(raw)
            finally:
                await _close(raw)
        except Exception as exc:  # noqa: BLE001 -- raised below, outside the group
            failure = exc
        finally:
            near.close()
            tasks.cancel_scope.cancel()
    if isinstance(failure, ConnectionLost) and way.lost is not None:
        raise way.lost from failure
    if failure is not None:
        raise failure


@contextmanager
def mapped() -> Iterator[None]:
    """Errors of asyncssh as paude's own."""
    try:
        yield
    except asyncssh.HostKeyNotVerifiable as exc:
        raise HostKeyMismatch(
            "the other end is not this session's pod",
            why="its host key is not the one that paude made",
            hint="nothing was sent to it; if the session was made anew elsewhere, run `paude start` again",
        ) from exc
    except asyncssh.PermissionDenied as exc:
        why = "the session's key is refused"
        raise LoginExpired("the pod does not let you in", why=why, hint="run `paude start` for new keys") from exc
    except (asyncssh.Error, OSError, TimeoutError) as exc:
        raise ConnectionLost("the connection to the pod is lost", why=clean(str(exc))) from exc


class _Way:
    """The pump between asyncssh's socket and the tunnel; remembers what broke it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.lost: PaudeError | None = None

    async def run(self, far: socket.socket) -> None:
        error = await pump(await LocalStream.over(far), self._stream)
        self.lost = error if isinstance(error, PaudeError) else None


_SETTINGS: dict[str, Any] = {
    "config": None,
    "agent_path": None,
    "agent_forwarding": False,
    "preferred_auth": "publickey",
    "gss_host": None,
    "x509_trusted_certs": None,
    "encryption_algs": CIPHERS,
    "kex_algs": [KEX],
    "compression_algs": None,
    "server_host_key_algs": ["ssh-ed25519"],
    "login_timeout": LOGIN_S,
    "connect_timeout": LOGIN_S,
}


def _trust(key: str, host_key: str) -> dict[str, Any]:
    return {
        "host": "pod",
        "client_keys": [asyncssh.import_private_key(key)],
        "known_hosts": ([asyncssh.import_public_key(host_key)], [], []),
    }


class _Feed:
    """What goes into a command; `error` is what its source raised."""

    def __init__(self, stdin: bytes | AsyncIterable[bytes] | None) -> None:
        self._stdin = stdin
        self.error: Exception | None = None

    async def run(self, session: CollectingSession) -> None:
        chunks = _chunks(self._stdin)
        while True:
            try:
                chunk = await anext(chunks, None)
            except Exception as exc:  # noqa: BLE001 -- whatever it is, `run` raises it
                self.error = exc
                session.channel.close()
                return
            if chunk is None:
                break
            if not await session.write(chunk):
                return
        session.write_eof()


async def _chunks(stdin: bytes | AsyncIterable[bytes] | None) -> AsyncIterator[bytes]:
    if stdin is None:
        return
    if not isinstance(stdin, bytes):
        async for chunk in stdin:
            yield chunk
        return
    for start in range(0, len(stdin), _CHUNK):
        yield stdin[start : start + _CHUNK]


async def _end(channel: asyncssh.SSHClientChannel[bytes]) -> None:
    channel.close()
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
        await channel.wait_closed()


async def _close(raw: asyncssh.SSHClientConnection) -> None:
    raw.close()
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
        await raw.wait_closed()
    raw.abort()


def _name(command: str) -> str:
    return clean(command.split(" ")[0])
