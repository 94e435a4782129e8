"""HTTPS over a stream that somebody else opens: to a registry whose name leads nowhere from this machine.

TLS is spoken here, with the registry's own name: whoever carries the stream sees neither login nor image.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from paude.errors import ConnectionLost
from paude.images.reference import Way


def through(way: Way, verify: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """A transport whose connections are streams of `way`; proxies of the environment do not count."""
    transport = httpx.AsyncHTTPTransport(verify=verify)
    # httpx lets nobody choose how a connection is opened; httpcore, which it is made of, does.
    transport._pool = httpcore.AsyncConnectionPool(ssl_context=verify, network_backend=_Backend(way))
    return transport


class _Backend(httpcore.AsyncNetworkBackend):
    """Opens what the way leads to, whatever the name."""

    def __init__(self, way: Way) -> None:
        self._way = way

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A new stream. The way has limits of its own: a pod may have to come up first."""
        try:
            return _Stream(await self._way())
        except ConnectionLost as exc:
            raise httpcore.ConnectError(str(exc)) from exc

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A stream as httpcore wants it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, none at the end."""
        try:
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as exc:
            raise httpcore.ReadTimeout from exc
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as exc:
            raise httpcore.ReadError(_words(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        try:
            with anyio.fail_after(timeout):
                await self._stream.send(buffer)
        except TimeoutError as exc:
            raise httpcore.WriteTimeout from exc
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as exc:
            raise httpcore.WriteError(_words(exc)) from exc

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The same stream with TLS on it, if the other end proves that it has the name."""
        try:
            with anyio.fail_after(timeout):
                inner = await TLSStream.wrap(
                    self._stream, ssl_context=ssl_context, hostname=server_hostname, standard_compatible=False
                )
        except BaseException as exc:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            if isinstance(exc, TimeoutError):
                raise httpcore.ConnectTimeout from exc
            if isinstance(exc, (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError)):
                raise httpcore.ConnectError(_words(exc)) from exc
            raise
        return _Stream(inner)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether an idle stream has ended is not known before it is used."""
        if info == "is_readable":
            return False
        return self._stream.extra(TLSAttribute.ssl_object, None) if info == "ssl_object" else None


def _words(exc: BaseException) -> str:
    """What broke off, in the words of whoever knows: TLS tells only that something did."""
    while not str(exc) and exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc) or type(exc).__name__
