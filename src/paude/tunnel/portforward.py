"""The tunnels over Kubernetes' streams, port-forward and exec: one websocket per stream, `v4.channel.k8s.io`.

The other end (the kubelet's streaming library) takes each frame for a message whose first byte is a channel: 0 data,
1 error; the first message of a channel is the port, two bytes little-endian. Of an exec the channels are 0 input,
1 output, 2 what is said beside it, 3 how it ended, without ports. Messages must therefore never be fragmented nor
compressed. There is no half-close. A port-forward works while the pod is still in its init phase.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from paude.errors import ConnectionLost, Forbidden, LoginExpired, PaudeError, SessionGone
from paude.process import clean
from paude.tunnel.base import TunnelLost
from paude.tunnel.frames import BadFrame, Part
from paude.tunnel.watched import WatchedConnection

PAYLOAD = 64 * 1024  # as much as a local socket is read at once; half of it costs a seventh of an upload's rate
OPEN_S = 10.0
CLOSE_S = 1.0
_DATA, _ERROR = 0, 1
_OUTPUT, _SAID, _ENDING = 1, 2, 3
_READ_AHEAD = 256 * 1024
_LONGEST_WORDS = 4096
_WRITE_LIMIT = 64 * 1024
_PROTOCOL = Subprotocol("v4.channel.k8s.io")


@dataclass(frozen=True)
class ApiAccess:
    """How to reach an API server: `server` as in a kubeconfig, `headers` with the credentials, `proxy` or None."""

    server: str
    ssl: ssl.SSLContext | None
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None = None
    tls_server_name: str | None = None


@dataclass(frozen=True)
class PodPortForward:
    """A Dialer for one pod; `access(True)` is to bring fresh credentials."""

    access: Callable[[bool], Awaitable[ApiAccess]]
    namespace: str
    pod: str

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port` of the pod's loopback.

        Raises LoginExpired (after one try with fresh credentials), Forbidden, SessionGone, or ConnectionLost.
        """
        for again in (False, True):
            try:
                return await self._open(await self.access(again), port)
            except InvalidStatus as exc:
                if exc.response.status_code != 401 or again:
                    raise self._refused(exc.response) from exc
            except (OSError, TimeoutError, WebSocketException) as exc:
                raise ConnectionLost("no tunnel to the pod", why=clean(str(exc)) or type(exc).__name__) from exc
        raise AssertionError("unreachable")

    async def _open(self, access: ApiAccess, port: int) -> ByteStream:
        connection = await Connect(
            self._url(access, port),
            subprotocols=[_PROTOCOL],
            create_connection=self._kind,
            **options(access),
        )
        assert isinstance(connection, PortForwardConnection)
        return PortForwardStream(connection)

    @property
    def _kind(self) -> type[PortForwardConnection]:
        return PortForwardConnection

    def _url(self, access: ApiAccess, port: int) -> str:
        server = urlsplit(access.server)
        scheme = "ws" if server.scheme == "http" else "wss"
        path = f"{server.path.rstrip('/')}/api/v1/namespaces/{self.namespace}/pods/{self.pod}"
        return f"{scheme}://{server.netloc}{path}/{self._what(port)}"

    def _what(self, port: int) -> str:
        return f"portforward?ports={port}"

    @property
    def _right(self) -> str:
        return "pods/portforward"

    def _refused(self, response: Response) -> PaudeError:
        code, reason = response.status_code, _reason(response)
        if code == 401:
            return LoginExpired(
                "the cluster does not accept your login (any more)",
                why=reason,
                hint="log in again, for example with `oc login`, and repeat the command",
            )
        if code == 403:
            right = f"`create {self._right}` (and `get`) in the namespace {self.namespace}"
            return Forbidden("you may not open a tunnel", why=f"it takes {right}; {reason}")
        if code == 404:
            return SessionGone(f"the pod {self.pod} is gone", why=reason)
        return ConnectionLost("the cluster refused the tunnel", why=f"{code}: {reason}")


@dataclass(frozen=True)
class PodExec(PodPortForward):
    """A Dialer whose streams are the standard streams of a program in the pod's first container, one for each.

    `command` gives its words for a port. Where the program fails, what it said is why the stream breaks off.
    """

    command: Callable[[int], Sequence[str]]

    @property
    def _kind(self) -> type[PortForwardConnection]:
        return ExecConnection

    def _what(self, port: int) -> str:
        streams = [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        return f"exec?{urlencode([*streams, *(('command', word) for word in self.command(port))])}"

    @property
    def _right(self) -> str:
        return "pods/exec"


class Connect(connect):
    """Goes where it was told to and nowhere else: an API server redirects no WebSocket, and credentials go along."""

    def process_redirect(self, exc: Exception) -> Exception:
        """The answer itself."""
        return exc


class PortForwardConnection(WatchedConnection):
    """What came on the two channels of one port; at most 256 KiB and one read of it wait to be taken."""

    data: ClassVar[int] = _DATA
    words: ClassVar[int] = _ERROR
    headers: ClassVar[frozenset[int]] = frozenset({_DATA, _ERROR})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        super().connection_made(transport)
        self._pieces: deque[memoryview] = deque()  # of what was read: nothing is copied before it is taken
        self._waiting = 0
        self._words = bytearray()
        self._wanted = True
        self._channel = self.data
        self._header: bytearray | None = None
        self._headers_due = set(self.headers)
        self._news = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader."""
        super().connection_lost(exc)
        self._news.set()

    @property
    def is_full(self) -> bool:
        """Whether enough waits."""
        return self._waiting >= _READ_AHEAD

    def arrived(self, part: Part) -> None:
        """Sort it by its channel."""
        piece = part.data
        if part.first:
            if not piece:
                return
            self._channel = piece[0]
            piece = piece[1:]
            if self._channel in self._headers_due:
                self._headers_due.discard(self._channel)
                self._header = bytearray()
        if self._header is not None:
            self._header += piece
            if part.last:
                self._check(self._header)
                self._header = None
        elif self._channel == self.data and self._wanted:
            self._pieces.append(piece)
            self._waiting += len(piece)
            self._news.set()
        elif self._channel == self.words:
            self._words += piece[: _LONGEST_WORDS - len(self._words)]
            self._news.set()

    async def take(self, most: int) -> bytes:
        """The next bytes of the data channel. Raises TunnelLost with what the error channel said, ConnectionClosed."""
        while not self._waiting:
            if self._words:
                raise TunnelLost("the tunnel broke off", why=clean(self._words.decode("utf-8", "replace")).strip())
            if self.protocol.state is State.CLOSED:
                raise self.close_exc
            self._news.clear()
            self.resume()
            await self._news.wait()
        taken = b"".join(self._taken(most))
        self._waiting -= len(taken)
        if not self.is_full:
            self.resume()
        return taken

    def _taken(self, most: int) -> Iterator[memoryview]:
        while self._pieces and most:
            piece = self._pieces.popleft()
            if len(piece) > most:
                self._pieces.appendleft(piece[most:])
            yield piece[:most]
            most -= min(most, len(piece))

    def discard(self) -> None:
        """Nobody will read any more: what is still to come must not be in the way of the other end's farewell."""
        self._wanted = False
        self._pieces.clear()
        self._waiting = 0
        self.resume()

    def _check(self, header: bytearray) -> None:
        assert self.request is not None
        if not self.request.path.endswith(f"={int.from_bytes(header, 'little')}") or len(header) != 2:
            raise BadFrame(f"this is not {_PROTOCOL}")


class ExecConnection(PortForwardConnection):
    """The same for the channels of one exec; how it ended comes last, as JSON, and counts when it failed."""

    data = _OUTPUT
    words = _SAID
    headers = frozenset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        super().connection_made(transport)
        self._ending = bytearray()

    def arrived(self, part: Part) -> None:
        """Sort it by its channel."""
        super().arrived(part)
        if self._channel != _ENDING:
            return
        self._ending += part.data[1:] if part.first else part.data
        if len(self._ending) > _LONGEST_WORDS:
            raise BadFrame("an ending that does not end")
        if part.last:
            self._words += _failure(bytes(self._ending))
            self._news.set()


class PortForwardStream(ByteStream):
    """One stream. Raises TunnelLost when it breaks off, with the other end's words if it said any."""

    def __init__(self, connection: PortForwardConnection) -> None:
        self._connection = connection
        self._closed = False

    async def receive(self, max_bytes: int = 64 * 1024) -> bytes:
        """The next bytes; EndOfStream when the program in the pod has closed its end."""
        try:
            return await self._connection.take(max_bytes)
        except ConnectionClosedOK as exc:
            raise (anyio.ClosedResourceError() if self._closed else anyio.EndOfStream()) from exc
        except ConnectionClosed as exc:
            raise self._lost(exc) from exc

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send all of `item`; waits while more than 64 KiB wait for the kernel."""
        view = memoryview(item)
        for start in range(0, len(view), PAYLOAD):
            await anyio.lowlevel.checkpoint()  # a link that takes everything at once must not keep all others waiting
            try:
                await self._connection.send_message(b"".join((b"\0", view[start : start + PAYLOAD])))
            except ConnectionClosed as exc:
                raise self._lost(exc) from exc

    async def send_eof(self) -> None:
        """Nothing: the protocol has no half-close, and closing all would lose what the other end still has to say."""

    def suspect(self, allowance: float = 1.0) -> None:
        """Find out now whether the stream lives; without any progress for `allowance` seconds it breaks off."""
        self._connection.suspect(allowance)

    async def aclose(self) -> None:
        """Close it; takes at most a second, even when nobody answers."""
        self._closed = True
        self._connection.discard()
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
                await self._connection.close()
        finally:
            self._connection.transport.abort()

    def _lost(self, exc: ConnectionClosed) -> Exception:
        if self._closed:
            return anyio.ClosedResourceError()
        return TunnelLost("the tunnel broke off", why=self._connection.verdict or clean(str(exc)))


def options(access: ApiAccess) -> dict[str, Any]:
    """How the library is to connect: with the proxy of the kubeconfig, else with the one that the environment names."""
    secure: dict[str, Any] = {}
    if not access.server.startswith("http://"):
        secure = {"ssl": access.ssl or ssl.create_default_context()}
        if access.tls_server_name:
            secure["server_hostname"] = access.tls_server_name
    return {
        "compression": None,
        "additional_headers": dict(access.headers),
        "user_agent_header": "paude",
        "proxy": access.proxy or True,
        "open_timeout": OPEN_S,
        "close_timeout": CLOSE_S,
        "ping_interval": None,
        "max_size": None,
        "write_limit": _WRITE_LIMIT,
        **secure,
    }


def _failure(ending: bytes) -> bytes:
    """What the last words of an exec say of a failure (apimachinery, metav1.Status); nothing of a success."""
    try:
        told = json.loads(ending)
        return b"" if told["status"] == "Success" else str(told["message"]).encode()[:_LONGEST_WORDS]
    except (ValueError, KeyError, TypeError):
        return ending


def _reason(response: Response) -> str:
    text = bytes(response.body or b"").decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return clean(text).strip()[:500] or response.reason_phrase
