"""A real websocket server that speaks the kubelet's v4 port-forward and exec, and refuses as an API server does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import anyio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_GONE = (ConnectionClosed, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Kubelet:
    """Forwards each stream to `targets[port]`, a loopback port; `tokens` are accepted; `refuse` answers all upgrades.

    `requests` are the paths asked for, `messages` the sizes of the binary messages that came.
    """

    def __init__(self, targets: dict[int, int]) -> None:
        self.targets = targets
        self.tokens = {"good"}
        self.refuse: tuple[int, str] | None = None
        self.requests: list[str] = []
        self.messages: list[int] = []
        self.frames_were_whole = True
        self.port = 0

    @property
    def url(self) -> str:
        """As `server` in a kubeconfig."""
        return f"http://127.0.0.1:{self.port}"

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Authorize the upgrade."""
        self.requests.append(request.path)
        if self.refuse is not None:
            return _status(connection, *self.refuse)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _status(connection, 401, "Unauthorized")
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """One stream."""
        assert connection.request is not None
        if "/exec?" in connection.request.path:
            await self._exec(connection, parse_qs(urlsplit(connection.request.path).query)["command"])
            return
        if "ports=" not in connection.request.path:
            return  # a watch that ends
        port = int(parse_qs(urlsplit(connection.request.path).query)["ports"][0])
        for channel in (b"\0", b"\1"):
            await connection.send(channel + port.to_bytes(2, "little"))
        try:
            inside = await anyio.connect_tcp("127.0.0.1", self.targets.get(port, 1))
        except OSError:
            await connection.send(b"\1an error occurred forwarding: connection refused \x1b[31m")
            return
        async with inside, anyio.create_task_group() as tasks:
            tasks.start_soon(self._in, connection, inside)
            with suppress(*_GONE):
                while True:
                    await connection.send(b"\0" + await inside.receive(32 * 1024))
            tasks.cancel_scope.cancel()

    async def _exec(self, connection: ServerConnection, command: list[str]) -> None:
        """Run the command here; channels as of an exec, and at last how it ended."""
        for channel in (b"\1", b"\2", b"\3"):
            await connection.send(channel)
        try:
            process = await anyio.open_process(command)
        except OSError:
            await connection.send(b"\3" + json.dumps({"status": "Failure", "message": "no such program"}).encode())
            return
        async with process, anyio.create_task_group() as tasks:
            tasks.start_soon(self._in, connection, process.stdin)
            for channel, output in ((b"\1", process.stdout), (b"\2", process.stderr)):
                async for part in output:
                    await connection.send(channel + part)
            code = await process.wait()
            ending = {"status": "Success"} if code == 0 else {"status": "Failure", "message": f"ended with {code}"}
            await connection.send(b"\3" + json.dumps(ending).encode())
            tasks.cancel_scope.cancel()

    async def _in(self, connection: ServerConnection, inside: anyio.abc.ByteSendStream) -> None:
        with suppress(*_GONE):
            while True:
                parts = [part async for part in connection.recv_streaming(decode=False)]
                self.frames_were_whole &= len(parts) == 1
                self.messages.append(len(parts[0]))
                assert parts[0][0] == 0
                await inside.send(parts[0][1:])
        await inside.aclose()


def _status(connection: ServerConnection, code: int, message: str) -> Response:
    body = json.dumps({"kind": "Status", "message": message, "code": code})
    return connection.respond(HTTPStatus(code), body)


@asynccontextmanager
async def kubelet(targets: dict[int, int]) -> AsyncIterator[Kubelet]:
    """A running one on a loopback port of its own."""
    peer = Kubelet(targets)
    server: Server = await serve(
        peer.handle,
        "127.0.0.1",
        0,
        process_request=peer.check,
        subprotocols=["v4.channel.k8s.io"],  # type: ignore[list-item]
        select_subprotocol=lambda _, offered: offered[0] if offered else None,
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=0.5,
    )
    async with server:
        peer.port = server.sockets[0].getsockname()[1]
        yield peer
