"""A company's network around a session on Podman: a private host, an authority of the company's, and another list."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import available, machine
from world.client import World

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        yield made


def arrives(laptop: Laptop, session: str, host: str) -> bool:
    """Whether a call of the agent reaches that origin; no --cacert, for the origin's authority is the company's."""
    mark = uuid.uuid4().hex
    laptop.inside(session, f"curl -sS -m 10 https://{host}/{mark} > /dev/null 2>&1; true")
    return any(one["path"] == f"/{mark}" for one in World().seen().asked(host))


def test_a_private_host_is_reached_and_stays_so_with_another_list(laptop: Laptop) -> None:
    authority = str(World().ca_path)
    words = ("--egress-ca", authority, "--private-allow", "private.test=10.97.13.0/24", "--timeout", "250")
    session = laptop.start(laptop.workspace("company"), *words)
    assert arrives(laptop, session, "private.test")
    assert not arrives(laptop, session, "allowed.test")

    laptop.paude("allow", "allowed.test", session)
    assert arrives(laptop, session, "allowed.test")
    assert arrives(laptop, session, "private.test")
    laptop.paude("stop", session, "--discard")
