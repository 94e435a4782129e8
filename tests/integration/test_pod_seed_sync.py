"""The sync connects while the first content is under way, and the gate has it wait until all of that is there."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from podside.pod import Pod, until

from paude.settings import Paths
from paude.sync import daemon, selection, session
from paude.sync.session import endpoint
from sync_peer import NAME

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman

# Fewer than the deletions that stop the sync.
FILES = {f"f{n:02}": f"content {n}\n".encode() * 1000 for n in range(20)}


def _tar(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _config(pod: Pod) -> str:
    words = iter(pod.ssh_words("gate"))
    settings = [word.removeprefix("-o").split("=", 1) for word in words if word.startswith("-o")]
    lines = [f"Host gate.{NAME}.paude", "  HostName gate", "  HostKeyAlias gate", "  User paude"]
    lines += ["  SetEnv PAUDE_LAPTOP=0123456789abcdef@here"]
    return "\n".join([*lines, *(f"  {key} {value}" for key, value in settings), ""])


@asynccontextmanager
async def _laptop(pod: Pod, directory: Path) -> AsyncIterator[Paths]:
    """A laptop with the files and a daemon; its sync has been told to connect to the gate."""
    (directory / "state").mkdir()
    (directory / "laptop").mkdir()
    for name, data in FILES.items():
        (directory / "laptop" / name).write_bytes(data)
    with TemporaryDirectory(prefix="paude-") as run:
        paths = Paths(directory / "state", Path(run), directory / "config", directory / "cache")
        (paths.state / "ssh_config").write_text(_config(pod))
        async with daemon.daemon(paths):
            chosen = await selection.outgoing(directory / "laptop")
            await session.define(paths, NAME, directory / "laptop", chosen, beta=endpoint(NAME))
            await session.resume(paths, NAME)
            yield paths


@contextmanager
def _half(pod: Pod) -> Iterator[None]:
    """A seed that has come half way, and breaks off at the end of the block."""
    stream = _tar(FILES)
    child = subprocess.Popen([*pod.ssh_words("gate"), "seed"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin is not None
    with child.stdin:
        child.stdin.write(stream[: len(stream) // 2])
        child.stdin.flush()
        until(lambda: len(_there(pod)) >= len(FILES) // 4)
        yield
    assert child.wait(10) == 1


def _there(pod: Pod) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (pod.volume / "workspace").iterdir()}


def _here(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "laptop").iterdir()}


async def _waits(paths: Paths) -> None:
    """It is connected, and gets no further."""
    async with aclosing(session.watch(paths, NAME)) as states:
        async for found in states:
            if found.status == "scanning" and not found.cycles:
                break
    with anyio.move_on_after(1):
        raise AssertionError(await session.first_cycle(paths, NAME))


async def test_the_sync_waits_for_the_whole_of_the_first_content(gate: Pod, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with _laptop(gate, tmp_path) as paths:
            await _waits(paths)
            with _half(gate):
                await _waits(paths)
            await session.pause(paths, NAME)
            await session.resume(paths, NAME)
            await _waits(paths)
            gate.control("seed", _tar(FILES))
            state = await session.first_cycle(paths, NAME)
            assert not state.conflicts
            assert _here(tmp_path) == _there(gate) == FILES


async def test_a_first_content_that_is_done_again_deletes_nothing_here(gate: Pod, tmp_path: Path) -> None:
    """A start was killed when both sides were in step and the volume had not been marked yet."""
    with anyio.fail_after(60):
        async with _laptop(gate, tmp_path) as paths:
            gate.control("seed", _tar(FILES))
            await session.first_cycle(paths, NAME)
            with _half(gate):
                await _waits(paths)
                assert _here(tmp_path) == FILES
            gate.control("seed", _tar(FILES))
            state = await session.first_cycle(paths, NAME)
            assert not state.conflicts
            assert _here(tmp_path) == _there(gate) == FILES
            gate.control("seeded")
