"""asyncssh over a stream, against a real sshd."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from paude.errors import CommandFailed, ConnectionLost, LoginExpired, TimedOut
from paude.ssh.connection import Connection, HostKeyMismatch, connected
from paude.ssh.keys import generate
from paude.tunnel.local import LocalStream
from relay import relay
from ssh_server import Sshd, sshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


@asynccontextmanager
async def opened(server: Sshd, port: int | None = None, **changed) -> AsyncIterator[Connection]:
    stream = await anyio.connect_tcp("127.0.0.1", port or server.port)
    trust = {"key": server.client.private_openssh, "host_key": server.host.public_openssh, "username": server.user}
    async with connected(stream, **{**trust, **changed}) as connection:
        yield connection


async def test_a_command_gives_its_output_its_errors_and_its_status(server: Sshd):
    async with opened(server) as connection:
        result = await connection.run("cat; echo oops >&2; exit 3", stdin=b"hello")
    assert (result.exit_status, result.stdout, result.stderr) == (3, b"hello", b"oops\n")


async def test_a_killed_command_has_the_status_of_a_shell(server: Sshd):
    async with opened(server) as connection:
        assert (await connection.run("kill -TERM $$")).exit_status == 128 + signal.SIGTERM


async def test_several_commands_share_a_connection(server: Sshd):
    async with opened(server) as connection, anyio.create_task_group() as tasks:
        got: set[str] = set()

        async def one(number: int) -> None:
            got.add((await connection.run(f"echo {number}")).text)

        for number in range(5):
            tasks.start_soon(one, number)
    assert got == {f"{n}\n" for n in range(5)}


async def test_a_source_of_stdin_is_read_no_faster_than_the_command_takes_it(server: Sshd, tmp_path: Path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    taken = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(512):
            taken += 128 * 1024
            yield bytes(128 * 1024)

    async with opened(server) as connection, anyio.create_task_group() as tasks:
        counted: list[str] = []

        async def count() -> None:
            counted.append((await connection.run(f"cat {fifo} >&2; wc -c", stdin=source())).text)

        tasks.start_soon(count)
        before = -1
        while before != taken or not taken:  # it is not started yet
            before = taken
            await anyio.sleep(0.2)  # for the kernel's buffers to fill: there is no event for "nothing moves"
        assert taken < 16 * 1024 * 1024
        fifo.write_bytes(b"")
    assert counted == [f"{512 * 128 * 1024}\n"]


async def test_a_command_that_ends_early_does_not_wait_for_its_stdin(server: Sshd):
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await anyio.sleep_forever()

    async with opened(server) as connection:
        with anyio.fail_after(5):
            assert (await connection.run("exit 3", stdin=endless())).exit_status == 3


async def test_what_the_source_of_stdin_raises_comes_out_unchanged(server: Sshd):
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise FileNotFoundError("no such tree")

    async with opened(server) as connection:
        with pytest.raises(FileNotFoundError, match="no such tree"):
            await connection.run("cat", stdin=broken())


async def test_what_the_block_raises_comes_out_unchanged(server: Sshd):
    with pytest.raises(FileNotFoundError):
        async with opened(server):
            raise FileNotFoundError


async def test_a_command_over_its_time_limit_is_named(server: Sshd):
    async with opened(server) as connection:
        with pytest.raises(TimedOut, match="sleep"):
            await connection.run("sleep 60", timeout=0.2)
        assert (await connection.run("echo still here")).text == "still here\n"


async def test_lines_come_as_they_are_printed(server: Sshd):
    async with opened(server) as connection:
        got = []
        async with connection.stream("echo watching; read x; echo changed") as lines:
            with anyio.fail_after(5):
                got.append(await anext(lines))
        assert got == ["watching"]
        async with connection.stream("printf 'a\\nb\\nc'") as lines:
            assert [line async for line in lines] == ["a", "b", "c"]


async def test_lines_of_a_command_that_fails_end_in_its_failure(server: Sshd):
    async with opened(server) as connection, connection.stream("echo one; echo no watches >&2; exit 4") as lines:
        assert await anext(lines) == "one"
        with pytest.raises(CommandFailed, match="no watches"):
            await anext(lines)


async def test_a_reader_of_lines_that_is_slow_gets_them_all(server: Sshd):
    async with opened(server) as connection, connection.stream("seq 1 400000") as lines:
        count = 0
        async for line in lines:
            count += 1
            assert line == str(count)
    assert count == 400_000


async def test_another_host_key_is_refused_and_nothing_runs(server: Sshd):
    with pytest.raises(HostKeyMismatch):
        async with opened(server, host_key=generate("other").public_openssh):
            pytest.fail("connected to a stranger")


async def test_an_unknown_key_is_refused_with_a_hint(server: Sshd):
    with pytest.raises(LoginExpired) as caught:
        async with opened(server, key=generate("other").private_openssh):
            pytest.fail("let in")
    assert "paude start" in caught.value.hint


async def test_a_cut_link_ends_a_running_command(server: Sshd):
    async with (
        relay(("127.0.0.1", server.port)) as link,
        opened(server, link.port) as connection,
        connection.stream("echo up; sleep 60") as lines,
    ):
        await anext(lines)
        link.cut()
        with pytest.raises(ConnectionLost), anyio.fail_after(5):
            await anext(lines)


async def test_a_black_hole_is_noticed_by_keepalive(server: Sshd):
    async with (
        relay(("127.0.0.1", server.port)) as link,
        opened(server, link.port) as connection,
        connection.stream("echo up; sleep 60") as lines,
    ):
        await anext(lines)
        connection.keepalive(0.1, 1)
        link.stall()
        with pytest.raises(ConnectionLost), anyio.fail_after(3):
            await anext(lines)


async def test_nobody_who_answers_is_a_lost_connection(tmp_path: Path):
    async def mute(stream) -> None:
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    key = generate("x")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, mute)
        stream = await anyio.connect_tcp("127.0.0.1", listener.extra(anyio.abc.SocketAttribute.local_port))
        with pytest.raises(ConnectionLost):
            async with connected(stream, key=key.private_openssh, host_key=key.public_openssh):
                pytest.fail("connected to nothing")
        tasks.cancel_scope.cancel()


async def test_a_cancelled_connection_leaves_nothing_behind(server: Sshd):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with anyio.move_on_after(0.2):
            async with opened(server) as connection:
                await connection.run("sleep 60")
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_in_any_of_its_first_turns_it_closes_the_stream_it_was_given(server: Sshd, turns: int):
    near, far = socket.socketpair()
    stream = await LocalStream.over(near)

    async def connect() -> None:
        async with connected(stream, key=server.client.private_openssh, host_key=server.host.public_openssh):
            raise AssertionError("nobody answered")

    with far:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connect)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        if turns:  # before its first turn it does not own it yet
            with pytest.raises(anyio.ClosedResourceError):
                await stream.send(b"x")
        await stream.aclose()
