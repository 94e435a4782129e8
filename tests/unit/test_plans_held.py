"""What a verb read before it had the session to itself counts no more once it has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from paude.cli.stop import _stop_one
from paude.engine import Plan
from paude.engine.events import Emit
from paude.errors import NotFound
from paude.plans.perform import change_list, refresh_credentials
from paude.plans.request import Gift
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths

pytestmark = pytest.mark.anyio
READ = Record("one", "0123456789abcdef", "podman", "/src/one", "claude", records.now(), server="podman")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state", tmp_path / "run", tmp_path / "config", tmp_path / "cache")


def nothing_to_show(plan: Plan) -> AbstractContextManager[Emit]:
    raise AssertionError(f"{plan} is about a session that is not there")


async def test_the_list_of_a_session_that_was_ended_meanwhile_is_not_changed(paths: Paths) -> None:
    with pytest.raises(NotFound, match="ended meanwhile"):
        await change_list(READ, paths, nothing_to_show, add=("a.test",), remove=(), limit_s=5)


async def test_a_session_that_was_ended_meanwhile_gets_no_credentials(paths: Paths) -> None:
    records.save(paths, replace(READ, uid="fedcba9876543210"))  # another one took its name

    with pytest.raises(NotFound, match="ended meanwhile"):
        await refresh_credentials(READ, paths, Gift(), nothing_to_show, limit_s=5)


async def test_what_is_stopped_is_the_session_as_it_is_now(paths: Paths) -> None:
    records.save(paths, replace(READ, server="", committed=False))  # a start that was killed before it reached a place

    await _stop_one(READ, paths, keep_workspace=False, discard=False, limit=5, kind="plain")

    assert records.load(paths, "one") is None
