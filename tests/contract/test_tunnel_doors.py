"""A door that is not there, that nobody answers at, or behind which somebody is silent, keeps nobody outside."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from paude.backends.podman.reasons import tunnel_failure
from paude.errors import SessionGone
from paude.tunnel.doors import Doors
from paude.tunnel.execstream import ExecStreams

PORT = 2223


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / str(PORT)))
        listener.listen()
        yield listener


def doors(directory: Path, patience_s: float, command: str = "echo by the other way") -> Doors:
    other = ExecStreams(lambda port: ["sh", "-c", command], lambda: dict(os.environ), tunnel_failure)
    return Doors(directory, other, patience_s)


async def said(stream: ByteStream) -> bytes:
    async with stream:
        with anyio.fail_after(10):
            return await stream.receive()


async def test_a_server_that_speaks_is_heard_from_its_first_word(tmp_path: Path, door: socket.socket):
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            near, _ = await anyio.to_thread.run_sync(door.accept)
            with near:
                near.sendall(b"SSH-2.0-x\r\n")

        tasks.start_soon(serve)
        assert await said(await doors(tmp_path, 10).dial(PORT)) == b"SSH-2.0-x\r\n"


async def test_a_door_that_is_only_just_being_opened_is_waited_for(tmp_path: Path):
    there = tmp_path / "doors"
    way = Doors(there, doors(tmp_path, 10).otherwise, 10, opens_s=10)
    heard: list[bytes] = []

    async def come_in() -> None:
        heard.append(await said(await way.dial(PORT)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come_in)
        await anyio.wait_all_tasks_blocked()
        there.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(there / str(PORT)))
            await anyio.wait_all_tasks_blocked()
            listener.listen()
            near, _ = await anyio.to_thread.run_sync(listener.accept)
            with near:
                near.sendall(b"SSH-2.0-x\r\n")
    assert heard == [b"SSH-2.0-x\r\n"]


async def test_without_doors_there_is_the_other_way(tmp_path: Path):
    assert await said(await doors(tmp_path / "nowhere", 10).dial(PORT)) == b"by the other way\n"


async def test_behind_the_door_of_a_gate_that_was_killed_nobody_stands(tmp_path: Path, door: socket.socket):
    door.close()
    assert (tmp_path / str(PORT)).exists()
    assert await said(await doors(tmp_path, 10).dial(PORT)) == b"by the other way\n"


async def test_a_door_that_is_shut_at_once_is_not_believed(tmp_path: Path, door: socket.socket):
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            near, _ = await anyio.to_thread.run_sync(door.accept)
            near.close()

        tasks.start_soon(serve)
        assert await said(await doors(tmp_path, 10).dial(PORT)) == b"by the other way\n"


async def test_whoever_is_silent_behind_a_door_holds_nobody_up(tmp_path: Path, door: socket.socket):
    with anyio.fail_after(10):
        assert await said(await doors(tmp_path, 0.1).dial(PORT)) == b"by the other way\n"


async def test_what_is_wrong_is_told_by_the_other_way(tmp_path: Path):
    gone = "echo 'Error: no such container' >&2; exit 125"
    stream = await doors(tmp_path, 10, gone).dial(PORT)
    with pytest.raises(SessionGone):
        await said(stream)
