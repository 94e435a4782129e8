"""What a killed run of these tests leaves behind goes with the next one; what another one works with stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from podside.images import podman
from podside.owned import remove, sweep

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman

PROGRAM = """\
import sys
from podside.images import podman
from podside.owned import mark
podman("run", "--detach", mark(), f"--name={sys.argv[1]}", "--entrypoint=sleep", sys.argv[2], "1000")
print("made", flush=True)
sys.stdin.read()
"""
NAME = "paude-podside-left"


@contextmanager
def another_run(image: str) -> Iterator[subprocess.Popen[str]]:
    """A process that tests as this one does, and has a container."""
    words = [sys.executable, "-c", PROGRAM, NAME, image]
    here = Path(__file__).parent
    with subprocess.Popen(words, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "made\n"
        yield other
        other.kill()


def is_there() -> bool:
    return bool(podman("ps", "--all", "--quiet", "--filter", f"name={NAME}"))


def test_what_a_killed_run_left_goes_and_what_a_living_one_has_stays(pod_images: dict[str, str]) -> None:
    try:
        with another_run(pod_images["gate"]):
            sweep()
            assert is_there()
        assert is_there()
        sweep()
        assert not is_there()
    finally:
        remove([NAME])
