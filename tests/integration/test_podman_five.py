"""Five sessions started at once by five processes: nothing of what they share is a race."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import BASE, available, machine, podman, things

pytestmark = pytest.mark.podman

COUNT = 5
OTHER = "localhost/paude-base:five"


@pytest.fixture
def laptop() -> Iterator[Laptop]:
    """A machine on which no image of these sessions is built yet: the same base has another name."""
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        podman("tag", BASE, OTHER)
        made.env["PAUDE_BASE_IMAGE"] = OTHER
        before = images()
        try:
            yield made
        finally:
            made.paude("stop", "--all", "--discard", code=None)
            podman("untag", OTHER, OTHER)  # without the second it takes every name of the image
            for name in images() - before:
                podman("untag", name, name, check=False)


def images() -> set[str]:
    """The names of our images."""
    return {one for one in podman("images", "--format", "{{.Repository}}:{{.Tag}}").split() if "/paude-" in one}


def test_five_processes_start_five_sessions_at_once(laptop: Laptop) -> None:
    names = [f"five-{number}" for number in range(COUNT)]
    for name in names:
        laptop.workspace(name, {"who": f"{name}\n"})
    words = ("--agent", "shell", "--detach", "--timeout", "280")

    running = [laptop.popen("start", str(laptop.home / name), "--name", name, *words) for name in names]

    said = {name: process.communicate(timeout=290)[1] for name, process in zip(names, running, strict=True)}
    assert {name: process.returncode for name, process in zip(names, running, strict=True)} == dict.fromkeys(
        names, 0
    ), said
    for name in names:
        assert laptop.inside(name, "cat who").strip() == name, "each has its own workspace, keys and tunnel"
    assert {str(record["name"]) for record in laptop.records().values()} == set(names)
    assert all(record["committed"] for record in laptop.records().values())
    config = (laptop.state / "paude/ssh_config").read_text()
    assert all(f"Host {name}.paude\n" in config or f"{name}.paude" in config for name in names)
    listed = laptop.paude("sessions", "-o", "name").stdout.split()
    assert set(names) <= set(listed)

    ending = [laptop.popen("stop", name, "--discard") for name in names]

    last = [process.communicate(timeout=120)[1] for process in ending]
    assert [process.returncode for process in ending] == [0] * COUNT, last
    assert things("paude-five-") == set()
    assert laptop.records() == {}
