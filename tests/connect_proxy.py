"""A web proxy that knows CONNECT alone, and counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

from paude.tunnel.relay import pump


@dataclass
class Proxy:
    """Where it listens, and whom it was asked for."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As HTTPS_PROXY has it."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, client: SocketStream) -> None:
        """One connection."""
        head = b""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while b"\r\n\r\n" not in head:
                head += await client.receive()
            verb, target, _ = head.split(b" ", 2)
            self.asked.append(target.decode())
            assert verb == b"CONNECT"
            host, _, port = target.decode().rpartition(":")
            async with await anyio.connect_tcp(host, int(port)) as far:
                await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await pump(client, far)


@asynccontextmanager
async def connect_proxy() -> AsyncIterator[Proxy]:
    """A running one."""
    proxy = Proxy()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    proxy.port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        tasks.cancel_scope.cancel()
