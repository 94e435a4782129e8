"""The tunnel over a child's streams: what the port-forward tunnel promises, as far as a child can."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from paude.backends.podman.reasons import tunnel_failure
from paude.errors import ConnectionLost, SessionGone
from paude.ssh.connection import connected
from paude.ssh.keys import generate
from paude.tunnel.execstream import ExecStream, ExecStreams
from paude.tunnel.local import LocalStream
from paude.tunnel.ready import dial_when_ready
from paude.tunnel.relay import pump

PORT = 2222


def dialer(*words: str) -> ExecStreams:
    def command(port: int) -> Sequence[str]:
        assert port == PORT
        return words

    return ExecStreams(command, lambda: dict(os.environ), tunnel_failure)


async def opened(*words: str) -> ExecStream:
    stream = await dialer(*words).dial(PORT)
    assert isinstance(stream, ExecStream)
    return stream


async def read_all(stream: ByteStream) -> bytes:
    with anyio.fail_after(20):
        return b"".join([part async for part in stream])


async def test_bytes_come_back_exactly() -> None:
    payload = os.urandom(3 * 1024 * 1024 + 17)
    digest, size = hashlib.sha256(), 0
    async with await opened("cat") as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, payload)
        with anyio.fail_after(30):
            while size < len(payload):
                part = await stream.receive()
                digest.update(part)
                size += len(part)
    assert digest.digest() == hashlib.sha256(payload).digest()


async def test_what_the_other_end_still_says_after_a_half_close_comes() -> None:
    async with await opened("sh", "-c", "cat > /dev/null; echo last words") as stream:
        await stream.send(b"anything")
        await stream.send_eof()
        assert await read_all(stream) == b"last words\n"


def written(pid: int) -> int | None:
    """How many bytes a process has written that sleeps; None for one that is at work."""
    if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        return None
    return int(Path(f"/proc/{pid}/io").read_text().partition("wchar: ")[2].split()[0])


async def test_nothing_is_read_ahead_without_bounds() -> None:
    """A program that prints without end is held: it sleeps, and prints no more while others have their turns."""
    async with await opened("yes") as stream:
        taken = len(await stream.receive())
        with anyio.fail_after(20):
            last, turns = None, 0
            while turns < 200:
                await anyio.lowlevel.checkpoint()
                now = written(stream._child.pid)
                turns = turns + 1 if now is not None and now == last else 0
                last = now
        assert last is not None
        assert len(stream._stream._buffer) <= 512 * 1024
        assert taken < last <= 2 * 1024 * 1024, "what is kept here, and what the system keeps on the way"


async def test_a_send_waits_for_an_end_that_reads_nothing() -> None:
    async with await opened("sleep", "60") as stream:
        with anyio.move_on_after(0.5) as limit:
            await stream.send(bytes(8 * 1024 * 1024))
        assert limit.cancelled_caught


async def test_closing_ends_the_child() -> None:
    stream = await opened("sh", "-c", "echo $$; exec sleep 600")
    pid = int(await stream.receive())
    await stream.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_that_is_killed_is_a_lost_tunnel_and_not_an_end() -> None:
    async with await opened("sh", "-c", "echo $$; exec sleep 600") as stream:
        os.kill(int(await stream.receive()), signal.SIGKILL)
        with pytest.raises(ConnectionLost), anyio.fail_after(10):
            await stream.receive()


async def test_a_container_that_does_not_exist_is_gone_and_says_so() -> None:
    said = 'echo "Error: no container with name or ID \\"x\\" found: no such container" >&2; exit 125'
    async with await opened("sh", "-c", said) as stream:
        with pytest.raises(SessionGone, match="no such container"):
            await stream.receive()


async def test_what_a_command_fails_with_ends_what_is_joined_to_it() -> None:
    near, far = socket.socketpair()
    said = 'read -r _; echo "no such container" >&2; exit 125'
    with near:
        near.sendall(b"x\n")
        error = await pump(await opened("sh", "-c", said), await LocalStream.over(far))
    assert isinstance(error, SessionGone)


async def test_a_connection_over_a_command_that_fails_says_what_that_means() -> None:
    keys = generate("x")
    with pytest.raises(SessionGone):
        async with connected(
            await opened("sh", "-c", 'echo "no such container" >&2; exit 125'),
            key=keys.private_openssh,
            host_key=keys.public_openssh,
        ):
            pass


async def test_a_container_that_does_not_run_may_come_back() -> None:
    said = 'echo "Error: can only create exec sessions on running containers: container state improper" >&2; exit 125'
    async with await opened("sh", "-c", said) as stream:
        with pytest.raises(ConnectionLost, match="does not run"):
            await stream.receive()


async def test_a_dial_is_tried_until_the_server_speaks(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    way = dialer("sh", "-c", f"test -e {ready} && echo SSH-2.0-x && exec cat; touch {ready}; exit 1")
    async with await dial_when_ready(way, PORT, within_s=20) as stream:
        assert await stream.receive() == b"SSH-2.0-x\n"


async def test_a_cancelled_dial_leaves_no_child() -> None:
    lasts = f"600.{os.getpid()}"
    with anyio.move_on_after(0.3):
        await dial_when_ready(dialer("sleep", lasts), PORT, within_s=60)
    found = await anyio.run_process(["pgrep", "-f", f"^sleep {lasts}"], check=False)
    assert found.stdout == b""


async def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(Exception, match="not installed"):
        await dialer("no-such-program-of-paude").dial(PORT)
