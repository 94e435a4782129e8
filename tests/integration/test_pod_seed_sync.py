"""The sync connects while the first content is under way, and the gate has it wait until all of that is there."""

from __future__ import annotations

import hashlib
import io
import os
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
from paude.sync import daemon, seed, selection, session
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


def _facts(directory: Path) -> dict[str, object]:
    """Each path's kind, content or target, executable bit, and a file's time to the nanosecond."""

    def fact(path: Path) -> object:
        if path.is_symlink():
            return os.readlink(path)
        facts = path.stat()
        return (path.read_bytes(), facts.st_mode & 0o100, facts.st_mtime_ns) if path.is_file() else "directory"

    return {str(path.relative_to(directory)): fact(path) for path in directory.rglob("*")}


async def test_names_links_and_times_arrive_exactly_and_digests_with_them(gate: Pod, tmp_path: Path) -> None:
    root = tmp_path / "laptop"
    names = ["f", "new\nline", "ü" * 100, "x" * 101, "/".join(["z" * 90] * 5), "large", "/".join(["ä" * 40] * 4)]
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * (100_000 if name == "large" else 1))
        os.utime(path, ns=(1, (number - 1) * 10**18 + 123_456_789 + number))
    (root / "f").chmod(0o700)
    (root / "link").symlink_to("f")
    (root / ("l" * 200)).symlink_to("/".join(["z" * 90] * 2))
    async with seed.tar_stream(root, selection.Outgoing((), ())) as pieces:
        gate.control("seed", b"".join([piece async for piece in pieces]))
    assert _facts(gate.volume / "workspace") == _facts(root)
    listed = (gate.volume / "gate/unpacked").read_bytes().split(b"\0")[:-1]
    digests = {os.fsdecode(words[5]): words[4].decode() for words in (one.split(b" ", 5) for one in listed)}
    assert digests == {name: hashlib.sha1((root / name).read_bytes()).hexdigest() for name in names}


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
