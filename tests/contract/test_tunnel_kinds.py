"""What every kind of tunnel promises, kept by each: port-forward, a child's streams, another program's forward."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from kubelet_peer import kubelet
from paude.backends.podman.reasons import tunnel_failure
from paude.errors import ConnectionLost
from paude.tunnel.base import Dialer
from paude.tunnel.command import PortForwardCommand
from paude.tunnel.doors import Doors
from paude.tunnel.execstream import ExecStreams
from paude.tunnel.portforward import ApiAccess, PodPortForward

PORT = 2222
MIB = 1024 * 1024
BLOCK = Random(5).randbytes(4 * MIB)

# Programs of the pod, over its standard streams or behind a port. `held` reads nothing until the file is there.
PROGRAMS = {
    "echo": "exec cat",
    "held": 'until [ -e "$0" ]; do sleep 0.05; done; cat > /dev/null; echo all',
    "flood": "exec cat /dev/zero",
    "vanish": "head -c 1 > /dev/null; echo $$; exec sleep 600",
}
# What stands for `kubectl port-forward`: it listens, says where, and joins what comes to the port that it was given.
FORWARDER = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(f"Forwarding from 127.0.0.1:{listener.getsockname()[1]} -> 2222", flush=True)
near, _ = listener.accept()
far = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def carry(source, sink):
    while data := source.recv(65536): sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
threading.Thread(target=carry, args=(near, far)).start()
carry(far, near)
"""
# One that resets its connection at the first byte, lives on, and says why.
RESETTER = """
import signal, socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0))
print(f"Forwarding from 127.0.0.1:{listener.getsockname()[1]} -> 2222", flush=True)
near, _ = listener.accept()
near.recv(1)
print("lost connection to pod", file=sys.stderr, flush=True)
near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
near.close()
signal.pause()
"""


@dataclass(frozen=True)
class Kind:
    """One kind: `reach` gives a Dialer to a program of the pod; `halves` says whether it can half-close."""

    name: str
    reach: Callable[[list[str]], AbstractAsyncContextManager[Dialer]]
    halves: bool


def lost(code: int, said: str) -> Exception:
    return ConnectionLost("no tunnel", why=said)


@asynccontextmanager
async def behind(listener: socket.socket, words: list[str]) -> AsyncIterator[None]:
    """The program, once for each connection."""

    async def serve(raw: socket.socket) -> None:
        with raw:
            raw.setblocking(True)
            child = await anyio.open_process(words, stdin=raw.fileno(), stdout=raw.fileno())
        async with child:
            try:
                await child.wait()
            finally:
                if child.returncode is None:
                    child.kill()

    listener.setblocking(False)
    async with anyio.create_task_group() as tasks:

        async def accept() -> None:
            while True:
                near, _ = await asyncio.get_running_loop().sock_accept(listener)
                tasks.start_soon(serve, near)

        tasks.start_soon(accept)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def behind_a_port(words: list[str]) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with behind(listener, words):
            yield int(listener.getsockname()[1])


@asynccontextmanager
async def by_port_forward(words: list[str]) -> AsyncIterator[Dialer]:
    async def access(again: bool) -> ApiAccess:
        return ApiAccess(peer.url, None, {"Authorization": "Bearer good"})

    async with behind_a_port(words) as port, kubelet({PORT: port}) as peer:
        yield PodPortForward(access, "work", "paude-x-0")


@asynccontextmanager
async def by_exec(words: list[str]) -> AsyncIterator[Dialer]:
    yield ExecStreams(lambda port: words, lambda: dict(os.environ), tunnel_failure)


@asynccontextmanager
async def by_program(words: list[str]) -> AsyncIterator[Dialer]:
    async with behind_a_port(words) as port:
        command = [sys.executable, "-c", FORWARDER, str(port)]
        yield PortForwardCommand(lambda _: command, lambda: dict(os.environ), lost)


@dataclass(frozen=True)
class Greeted:
    """A Dialer to a server that says one byte first, which is read here."""

    dialer: Dialer

    async def dial(self, port: int) -> ByteStream:
        stream = await self.dialer.dial(port)
        assert await stream.receive(1) == b"\n"
        return stream


@asynccontextmanager
async def by_door(words: list[str]) -> AsyncIterator[Dialer]:
    speaks = ["sh", "-c", 'echo; exec "$@"', "sh", *words]
    nobody = ExecStreams(lambda port: ["false"], lambda: dict(os.environ), tunnel_failure)
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        deep = door_in(Path(name), listener)
        async with behind(listener, speaks):
            yield Greeted(Doors(deep, nobody))


def door_in(directory: Path, listener: socket.socket) -> Path:
    """A directory whose name is as long as those of podman's volumes, with the socket in it."""
    place = directory / "short"
    place.mkdir()
    listener.bind(str(place / str(PORT)))
    listener.listen()
    return place.rename(directory / ("long" * 50))


KINDS = [
    Kind("port-forward", by_port_forward, False),
    Kind("exec", by_exec, True),
    Kind("program", by_program, True),
    Kind("door", by_door, True),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@asynccontextmanager
async def opened(kind: Kind, program: str, argument: str = "x") -> AsyncIterator[ByteStream]:
    async with kind.reach(["sh", "-c", PROGRAMS[program], argument]) as dialer, await dialer.dial(PORT) as stream:
        yield stream


async def comes_back(stream: ByteStream, size: int) -> None:
    sent, came, got = hashlib.sha256(), hashlib.sha256(), 0

    async def feed() -> None:
        for at in range(0, size, 65536):
            chunk = BLOCK[at % len(BLOCK) :][: min(65536, size - at)]
            sent.update(chunk)
            await stream.send(chunk)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed)
        while got < size:
            data = await stream.receive()
            came.update(data)
            got += len(data)
    assert came.digest() == sent.digest()


@pytest.mark.parametrize("mib", [5, pytest.param(1024, marks=pytest.mark.slow)])
async def test_bytes_come_back_exactly(kind: Kind, mib: int):
    async with opened(kind, "echo") as stream:
        with anyio.fail_after(600):
            await comes_back(stream, mib * MIB + 17)


@pytest.mark.parametrize("seconds", [0.5, pytest.param(60, marks=pytest.mark.slow)])
async def test_a_program_that_does_not_read_holds_the_sender_and_loses_neither_bytes_nor_the_stream(
    kind: Kind, seconds: float, tmp_path: Path
):
    go, size, sent = tmp_path / "go", 64 * MIB, 0
    async with opened(kind, "held", str(go)) as stream:
        with anyio.move_on_after(seconds) as held:
            while sent < size:
                await stream.send(BLOCK[:65536])
                sent += 65536
        assert held.cancelled_caught
        assert sent < 16 * MIB, "all buffers on the way together are bounded"
        go.touch()
        with anyio.fail_after(60):
            await stream.send(b"on it goes")
            if kind.halves:
                await stream.send_eof()
                assert await stream.receive() == b"all\n"


@pytest.mark.parametrize("seconds", [0.5, pytest.param(60, marks=pytest.mark.slow)])
async def test_a_reader_that_pauses_is_not_flooded_and_may_read_on(kind: Kind, seconds: float):
    before = resident()
    async with opened(kind, "flood") as stream:
        await stream.send(b"go")
        await stream.receive()
        await anyio.sleep(seconds)
        assert resident() - before < 64 * MIB
        with anyio.fail_after(30):
            got = 0
            while got < 32 * MIB:
                data = await stream.receive()
                assert not any(data)
                got += len(data)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_an_end_that_takes_everything_at_once_leaves_room_for_others(kind: Kind):
    async with opened(kind, "echo") as stream, anyio.create_task_group() as tasks:
        others = anyio.Event()

        async def other() -> None:
            others.set()

        tasks.start_soon(other)
        await stream.send(b"x")
        assert others.is_set()


async def test_closing_twice_and_under_a_waiting_reader_is_harmless(kind: Kind):
    async with opened(kind, "echo") as stream, anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def reader() -> None:
            with pytest.raises((anyio.ClosedResourceError, anyio.EndOfStream, ConnectionLost)):
                await stream.receive()
            ended.set()

        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
        await stream.aclose()
        with anyio.fail_after(5):
            await ended.wait()


async def test_a_cancelled_read_loses_nothing(kind: Kind):
    async with opened(kind, "echo") as stream:
        for word in (b"one", b"two"):
            with anyio.move_on_after(0.05):
                await stream.receive()
            await stream.send(word)
            with anyio.fail_after(10):
                assert await stream.receive() == word


async def test_a_cancelled_dial_leaves_nothing_open(kind: Kind):
    async with kind.reach(["sh", "-c", PROGRAMS["echo"]]) as dialer:
        async with await dialer.dial(PORT) as stream:
            await stream.send(b"x")
            await stream.receive()
        before = len(os.listdir("/proc/self/fd"))
        for after in range(8):
            with anyio.move_on_after(after * 0.004):
                stream = await dialer.dial(PORT)
                await stream.aclose()
        with anyio.fail_after(10):
            while len(os.listdir("/proc/self/fd")) > before:  # noqa: ASYNC110 -- the peers close in their own time
                await anyio.sleep(0.02)


async def test_a_program_that_is_killed_ends_the_stream(kind: Kind):
    async with opened(kind, "vanish") as stream:
        await stream.send(b"x")
        with anyio.fail_after(10):
            pid = int(await stream.receive())
            os.kill(pid, 9)
            with pytest.raises((anyio.EndOfStream, ConnectionLost)):
                await stream.receive()


async def test_a_program_that_breaks_off_tells_reader_and_writer_alike_why():
    way = PortForwardCommand(lambda _: [sys.executable, "-c", RESETTER], lambda: dict(os.environ), lost)

    async def reader() -> None:
        with pytest.raises(ConnectionLost, match="lost connection to pod"):
            await stream.receive()

    async def write() -> None:
        while True:
            await stream.send(b"x")
            await anyio.lowlevel.checkpoint()

    async def writer() -> None:
        with pytest.raises(ConnectionLost, match="lost connection to pod"):
            await write()

    async with await way.dial(PORT) as stream:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader)
                tasks.start_soon(writer)
