"""Which images a start would use: what the workspaces of the sessions here want counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paude.images import prune as images
from paude.images.prune import LocalImage
from paude.plans.prune import Needed, left, needed
from paude.plans.request import build_of, project_of
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))


def session(paths: Paths, workspace: Path, wanted: dict[str, Any]) -> None:
    """A record of one that is kept, whose workspace says that."""
    workspace.mkdir()
    (workspace / "paude.json").write_text(json.dumps(wanted))
    record = Record(workspace.name, "0" * 16, "podman", str(workspace), "shell", records.now(), committed=True)
    records.save(paths, record)


async def test_images_of_a_sessions_project_stay(paths: Paths, tmp_path: Path) -> None:
    alone = await needed(paths)
    session(paths, tmp_path / "project", {"packages": ["tree"]})
    settled = read(paths, tmp_path / "project")
    own = await images.wanted(build_of(settled.values, project_of(tmp_path / "project", settled), paths))

    assert await needed(paths) == Needed(alone.names | own, complete=True)
    assert own - alone.names, "the control: the project's are others"


@pytest.mark.parametrize("wanted", [{"build": {"containerfile": "paude.json"}}, {"packages": [";"]}])
async def test_what_cannot_be_known_without_a_build_is_not_built(
    wanted: dict[str, Any], paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = await needed(paths)
    session(paths, tmp_path / "project", wanted)
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no podman to build with

    assert await needed(paths) == Needed(alone.names, complete=False)


def test_agents_images_stay_while_some_are_not_known() -> None:
    names = [f"localhost/paude-{one}:1" for one in ("agent", "base-of-project", "gate", "proxy")]
    found = [LocalImage(name, "", 0) for name in names]

    assert left(found, Needed(frozenset(names[3:]), complete=True)) == tuple(found[:3])
    assert left(found, Needed(frozenset(names[3:]), complete=False)) == (found[2],)
