"""A fake internet of a test's own, in a network namespace from which nothing else can be reached.

A proxy that joins the namespace has no other world; nobody else's test can disturb it, or be disturbed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from world import server, zone
from world.client import World
from world.lab import run

TESTS = Path(__file__).resolve().parents[1]
WAIT_S = 20.0


@dataclass(frozen=True)
class Alone:
    """The namespace, by its path, and its world."""

    namespace: Path
    world: World


@contextmanager
def alone() -> Iterator[Alone]:
    """A fresh one; nothing of it is left."""
    name = f"paude-alone-{os.getpid() % 100_000}"
    with tempfile.TemporaryDirectory(prefix="paude-alone-") as directory, contextlib.ExitStack() as undo:
        state = Path(directory)
        run("ip", "netns", "add", name)
        undo.callback(run, "ip", "netns", "delete", name)
        here = ("ip", "-n", name)
        run(*here, "link", "add", server.DEVICE, "type", "veth", "peer", "name", "nowhere")
        for device in ("lo", server.DEVICE, "nowhere"):
            run(*here, "link", "set", device, "up")
        if zone.HAS_IPV6:
            run(*here, "addr", "add", f"{zone.RESOLVER6}/128", "dev", "lo", "nodad")
        for network in (*zone.NETS, *zone.NETS6):
            run(*here, "route", "add", "local", network, "dev", "lo")
        run(TESTS / "world/pki", state, *zone.names())
        with _serving(name, state) as world:
            yield Alone(Path("/run/netns") / name, world)


@contextmanager
def _serving(name: str, state: Path) -> Iterator[World]:
    env = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["ip", "netns", "exec", name, sys.executable, "-m", "world.server", str(state)]
    with (state / "server.log").open("wb") as log:
        process = subprocess.Popen(words, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield _answering(World(state), process)
    finally:
        process.terminate()
        process.wait(10)


def _answering(world: World, process: subprocess.Popen[bytes]) -> World:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            world.seen()
            return world
        except OSError as exc:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((world.state / "server.log").read_text()[-3000:]) from exc
            time.sleep(0.05)
