"""What may answer in place of the pod's sshd, or as one that has gone wrong: an error of paude's, and no hang."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from paude.errors import ConnectionLost
from paude.ssh import connection
from paude.ssh.connection import Connection, connected
from paude.ssh.keys import generate
from ssh_server import Sshd, sshd

KEY = generate("x")
MIB = 1024 * 1024


@asynccontextmanager
async def answering(text: bytes, *, stays: bool) -> AsyncIterator[int]:
    """A server that says this to whoever comes, and hangs up or is silent from then on; gives its port."""

    async def talk(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                await stream.send(text)
                if stays:
                    async for _ in stream:
                        pass
            except anyio.BrokenResourceError:
                pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


WRONG = {
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", False),
    "a banner of a megabyte": (b"x" * MIB + b"\r\n", True),
    "banners without end": (b"hello\r\n" * 100_000, True),
    "an older protocol": (b"SSH-1.5-old\r\n", True),
    "noise": (b"SSH-2.0-x\r\n" + bytes(range(256)) * 64, True),
    "words that steer a terminal": (b"SSH-2.0-\x1b[2J\r\n\x1b]0;x\x07", False),
    "a length beyond all bounds": (b"SSH-2.0-x\r\n\xff\xff\xff\xff", True),
    "silence after the greeting": (b"SSH-2.0-x\r\n", True),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_no_sshd_is_a_lost_connection(case: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connection._SETTINGS, "login_timeout", 1.0)  # for the one that is silent
    text, stays = WRONG[case]
    async with answering(text, stays=stays) as port:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        with pytest.raises(ConnectionLost) as caught, anyio.fail_after(20):
            async with connected(stream, key=KEY.private_openssh, host_key=KEY.public_openssh):
                pytest.fail("connected")
    assert caught.value.why
    assert not {"\x1b", "\x07"} & set(f"{caught.value}{caught.value.why}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


@asynccontextmanager
async def opened(server: Sshd) -> AsyncIterator[Connection]:
    stream = await anyio.connect_tcp("127.0.0.1", server.port)
    trust = {"key": server.client.private_openssh, "host_key": server.host.public_openssh}
    async with connected(stream, username=server.user, **trust) as one:
        yield one


@pytest.mark.parametrize("weak", ["Ciphers aes128-ctr", "KexAlgorithms diffie-hellman-group14-sha256"])
async def test_one_that_knows_weaker_ways_only_is_refused(tmp_path: Path, weak: str):
    with sshd(tmp_path, weak) as weaker, pytest.raises(ConnectionLost) as caught:
        async with opened(weaker):
            pytest.fail("connected")
    assert "No matching" in caught.value.why


async def test_one_that_hangs_up_behind_the_login_is_a_lost_connection(server: Sshd):
    with pytest.raises(ConnectionLost):
        async with opened(server) as one:
            await one.run("kill -9 $PPID; sleep 60")


async def test_a_flood_of_complaints_is_kept_within_bounds(server: Sshd):
    async with opened(server) as one:
        result = await one.run(f"head -c {40 * MIB} /dev/zero >&2; echo done")
    assert result.stdout == b"done\n"
    assert 0 < len(result.stderr) <= 16 * MIB


async def test_lines_that_are_no_text_come_as_lines(server: Sshd):
    async with opened(server) as one, one.stream("printf 'a\\377b\\n\\303\\nend\\n'") as lines:
        assert [line async for line in lines] == ["a\ufffdb", "\ufffd", "end"]
