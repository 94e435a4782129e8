"""Podman's real complaints, provoked, and what paude makes of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paude.backends.podman import engine
from paude.backends.podman.engine import Engine
from paude.errors import ConnectionLost, NameTaken, NotFound, PaudeError
from paude.process import ToolMissing
from podman_machine import available, settings

pytestmark = pytest.mark.podman


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    if not available():
        pytest.skip("needs podman and the base image")
    for key, value in settings().items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A storage of podman's on a disk with room for a little more than its own database."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=True)
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{disk}/g"\nrunroot = "{disk}/r"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def test_a_full_disk_says_how_to_make_room(full: Path) -> None:
    podman = await engine.usable()
    with pytest.raises(PaudeError, match="cannot store a secret") as caught:
        await podman.run("secret", "create", "paude-test", "-", stdin=os.urandom(500_000), doing="store a secret")
    assert "no space left" in caught.value.why
    assert "make room" in caught.value.hint


async def test_a_machine_that_is_not_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "unix:///nonexistent/podman.sock")
    with pytest.raises(ConnectionLost) as caught:
        await engine.usable()
    assert "podman machine start" in caught.value.hint


async def test_without_podman_it_is_said_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as caught:
        await engine.usable()
    assert "--backend kubernetes" in caught.value.hint


async def test_a_name_that_is_taken_is_told_apart() -> None:
    podman = Engine()
    await podman.run("volume", "create", "paude-test-taken", doing="make a volume")
    try:
        with pytest.raises(NameTaken):
            await podman.run("volume", "create", "paude-test-taken", doing="make a volume")
    finally:
        await podman.remove("volume", "paude-test-taken")
    assert await podman.inspect("volume", "paude-test-taken") is None


async def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        await Engine().logs("paude-test-absent", print, follow=False)
    assert await Engine().inspect("container", "paude-test-absent") is None
    assert await Engine().found("secret", "rm", "paude-test-absent") is None
