"""A name that is another session's: nothing of that one is removed, whenever the start that met it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from paude.backends.podman import ownership
from paude.backends.podman.containers import name_of
from paude.backends.podman.engine import Engine, connect
from paude.backends.podman.start import Request, Start
from paude.errors import NameTaken
from paude.plans.request import Gift, Wishes, prepare
from paude.settings import Paths, read
from podman_machine import BASE, podman, things

pytestmark = [pytest.mark.podman, pytest.mark.anyio]

NAME = "taken-by-another"
VOLUMES = pytest.mark.parametrize(
    ("part", "step"), [("", "claim_volume"), ("run", "make_permits"), ("sockets", "open_sockets")]
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    paths = Paths(*[tmp_path / one for one in ("config", "state", "run", "cache")])
    wishes = Wishes(tmp_path, read(paths, None, {"agent": "shell", "backend": "podman"}), name=NAME)
    request = prepare(wishes, paths, Gift()).request
    assert isinstance(request, Request)
    yield Start(request, paths)
    for thing in things(NAME):
        kind, name = thing.split()
        podman(kind, "rm", name)


@VOLUMES
async def test_a_volume_of_another_session_outlives_a_start_that_is_cut_off(start: Start, part: str, step: str) -> None:
    engine = await connect()
    podman("volume", "create", f"--label={ownership.UID}={'0' * 32}", name_of(NAME, part))
    await cut_off_at_once(start, step, engine)
    assert things(NAME) == {f"volume {name_of(NAME, part)}"}


@VOLUMES
async def test_the_own_volume_of_a_start_that_is_cut_off_goes_with_it(start: Start, part: str, step: str) -> None:
    engine = await connect()
    with anyio.CancelScope() as scope:
        async with getattr(start, step)(engine):
            assert things(NAME) == {f"volume {name_of(NAME, part)}"}
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert things(NAME) == set()


async def test_a_container_of_another_is_left_and_all_that_is_the_starts_own_goes(start: Start) -> None:
    engine = await connect()
    podman("create", f"--name={name_of(NAME, 'proxy')}", BASE, "true")
    with pytest.raises(NameTaken):
        async with start.claim_volume(engine) as place, start.run_proxy(place, BASE):
            pass
    assert things(NAME) == {f"container {name_of(NAME, 'proxy')}"}


async def cut_off_at_once(start: Start, step: str, engine: Engine) -> None:
    """Begin a step in a scope that is cancelled already."""
    with anyio.move_on_after(0):
        async with getattr(start, step)(engine):
            pass
