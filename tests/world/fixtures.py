"""The fake internet for tests that need no cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from world import lab
from world.client import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    script = lab.ROOT / "scripts/world"
    was_up = subprocess.run([script, "status"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    lab.run(script, "up")
    yield World()
    if not was_up:
        lab.run(script, "down")


@pytest.fixture
def place(world: World) -> Iterator[lab.Lab]:
    with lab.lab() as found:
        yield found
