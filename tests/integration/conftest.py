"""What integration tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import available, machine


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    """A machine without a cluster, whose sessions are on its Podman."""
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        yield made
