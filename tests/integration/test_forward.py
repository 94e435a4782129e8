"""A port of the pod's loopback on this machine: the real sshd with the agent's rules, a link that is cut."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from paude.errors import ConnectionLost, NotFound, PaudeError, UsageError
from paude.ssh.connection import Connection, connected
from paude.ssh.forward import News, forward, listening
from relay import Relay, relay
from ssh_server import Sshd, sshd

RULES = ("AllowTcpForwarding local", "PermitOpen 127.0.0.1:* localhost:* [::1]:*")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path, *RULES) as one:
        yield one


@asynccontextmanager
async def echo(*, at_the_end: bool = False) -> AsyncIterator[int]:
    """A server that sends back what it gets, as it comes or once all has come; its port."""

    async def answer(client: SocketStream) -> None:
        kept = b""
        async with client:
            async for data in client:
                kept += data if at_the_end else b""
                await client.send(b"" if at_the_end else data)
            await client.send(kept)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@dataclass
class Forwarded:
    """A forward that runs: its port here, its link, what it told."""

    port: int
    relay: Relay
    told: list[News] = field(default_factory=list)
    error: PaudeError | None = None
    failure: PaudeError | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)

    def tell(self, news: News) -> None:
        self.told.append(news)
        self.changed.set()
        self.changed = anyio.Event()

    async def tells(self, *news: News) -> None:
        with anyio.fail_after(15):
            while self.told != [*news]:
                await self.changed.wait()

    async def echoes(self, payload: bytes) -> None:
        async with await anyio.connect_tcp("127.0.0.1", self.port) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, payload)
            got = bytearray()
            with anyio.fail_after(30):
                while len(got) < len(payload):
                    got += await client.receive()
            assert got == payload


@asynccontextmanager
async def forwarded(server: Sshd, port: int) -> AsyncIterator[Forwarded]:
    with listening(0) as listener:
        async with relay(("127.0.0.1", server.port)) as way, anyio.create_task_group() as tasks:
            one = Forwarded(listener.getsockname()[1], way)

            @asynccontextmanager
            async def opened() -> AsyncIterator[Connection]:
                if one.error is not None:
                    raise one.error
                try:
                    stream = await anyio.connect_tcp("127.0.0.1", way.port)
                except OSError as exc:
                    raise ConnectionLost("no way") from exc
                trust = {"key": server.client.private_openssh, "host_key": server.host.public_openssh}
                async with connected(stream, username=server.user, **trust) as connection:
                    yield connection

            async def run() -> None:
                try:
                    await forward(listener, port, opened, one.tell)
                except PaudeError as exc:
                    one.failure = exc
                one.over.set()

            tasks.start_soon(run)
            yield one
            tasks.cancel_scope.cancel()


async def test_bytes_come_back_exactly_from_the_other_end(server: Sshd):
    async with echo() as port, forwarded(server, port) as one:
        await one.echoes(os.urandom(3 * 1024 * 1024))
        await one.echoes(b"again")


async def test_the_other_end_may_finish_after_this_one(server: Sshd):
    async with (
        echo(at_the_end=True) as port,
        forwarded(server, port) as one,
        await anyio.connect_tcp("127.0.0.1", one.port) as client,
    ):
        await client.send(b"question")
        await client.send_eof()
        with anyio.fail_after(10):
            assert b"".join([data async for data in client]) == b"question"


async def test_it_listens_on_the_loopback_alone():
    with listening(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


async def test_a_client_is_held_while_the_link_is_down_and_served_when_it_is_back(server: Sshd):
    async with echo() as port, forwarded(server, port) as one:
        await one.tells(News.LIVE)
        one.relay.cut()
        await one.tells(News.LIVE, News.LOST)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.echoes, b"held")
            one.relay.mend()
        await one.tells(News.LIVE, News.LOST, News.LIVE)


async def test_where_nobody_listens_the_user_is_told_once_and_clients_are_turned_away(server: Sshd):
    with listening(0) as free:
        nobody = free.getsockname()[1]
    async with forwarded(server, nobody) as one:
        for _ in range(3):
            async with await anyio.connect_tcp("127.0.0.1", one.port) as client:
                with pytest.raises(anyio.EndOfStream), anyio.fail_after(10):
                    await client.receive()
        assert one.told == [News.LIVE, News.REFUSED]


async def test_a_session_that_has_gone_ends_it_with_the_reason(server: Sshd):
    async with echo() as port, forwarded(server, port) as one:
        await one.tells(News.LIVE)
        one.error = NotFound("there is no such session any more")
        one.relay.cut()
        with anyio.fail_after(10):
            await one.over.wait()
        assert one.failure is one.error


def test_a_local_port_that_is_taken_is_refused_with_a_hint():
    with listening(0) as listener, pytest.raises(UsageError, match="cannot be used") as refused:
        listening(listener.getsockname()[1])
    assert "LOCAL:PORT" in refused.value.hint
