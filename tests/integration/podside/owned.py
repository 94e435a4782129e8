"""Whose the containers of these tests are: of the process that runs them. What a killed one left goes next time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podside.images import podman

LABEL = "test.paude.io/owner"


def owner(pid: int) -> str:
    """A name for a process that no later one with the same number has; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{pid}-{fields[19]}"  # field 22: when it began, in ticks since the boot


def mark() -> str:
    """The option that makes a container this process's."""
    return f"--label={LABEL}={owner(os.getpid())}"


@contextmanager
def swept() -> Iterator[None]:
    """Remove what processes that are gone have left, and in the end whatever this one did not remove itself."""
    sweep()
    try:
        yield
    finally:
        mine = owner(os.getpid())
        remove([name for name, whose in _owned().items() if whose == mine])


def sweep() -> None:
    """Remove what processes that are gone have left."""
    remove([name for name, whose in _owned().items() if whose != owner(int(whose.partition("-")[0]))])


def remove(names: list[str]) -> None:
    """Remove containers and what shares their network; those that are not there are no error."""
    words = ("rm", "--force", "--ignore", "--depend", "--time", "1", *names)
    if names:
        # One that ends by itself while it is ended is an error to podman; it has ended by the second time.
        podman(*words, check=False)
        podman(*words)


def _owned() -> dict[str, str]:
    listed = json.loads(podman("ps", "--all", "--filter", f"label={LABEL}", "--format", "json") or "[]")
    return {one["Names"][0]: one["Labels"][LABEL] for one in listed}
