"""What a start decided before it had its locks, and what has become of it when it has them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from paude.cli.display import opener
from paude.errors import NameTaken, NotFound, SettingsError
from paude.plans.perform import start_session
from paude.plans.request import Gift, Prepared, Wishes, prepare, project_of
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, agreed, read


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "project").mkdir()
    return Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))


@pytest.fixture
def known(tmp_path: Path) -> Record:
    workspace = str(tmp_path / "project")
    return Record("x", "0" * 16, "podman", workspace, "shell", "2026-01-01T00:00:00+00:00", committed=True)


def prepared(paths: Paths, tmp_path: Path, backend: str = "podman") -> Prepared:
    settled = read(paths, None, {"agent": "shell", "backend": backend})
    return prepare(Wishes(tmp_path / "project", settled, name="x"), paths, Gift())


def test_a_backend_that_is_left_empty_is_the_sessions_own(paths: Paths, tmp_path: Path, known: Record) -> None:
    records.save(paths, known)
    assert prepared(paths, tmp_path, backend="").laptop.record.backend == "podman"


async def test_a_start_that_is_done_by_now_is_not_taken_down(paths: Paths, tmp_path: Path, known: Record) -> None:
    records.save(paths, replace(known, committed=False, server="podman"))
    ready = prepared(paths, tmp_path)
    assert ready.stale is not None
    records.save(paths, known)

    with pytest.raises(NameTaken, match="by now"):
        await start_session(ready, opener("quiet"), limit_s=10)

    assert records.load(paths, "x") == known


async def test_a_name_that_another_directory_took_meanwhile_stays_there(
    paths: Paths, tmp_path: Path, known: Record
) -> None:
    ready = prepared(paths, tmp_path)
    there = replace(known, workspace=str(tmp_path / "other"))
    records.save(paths, there)

    with pytest.raises(NameTaken, match="by now"):
        await start_session(ready, opener("quiet"), limit_s=10)

    assert records.load(paths, "x") == there


async def test_a_session_that_was_ended_meanwhile_is_not_resumed(paths: Paths, tmp_path: Path, known: Record) -> None:
    records.save(paths, known)
    ready = prepared(paths, tmp_path)
    records.forget(paths, "x")

    with pytest.raises(NotFound, match="was ended"):
        await start_session(ready, opener("quiet"), limit_s=10)


def test_what_was_agreed_to_is_what_is_built(paths: Paths, tmp_path: Path) -> None:
    workspace = tmp_path / "project"
    (workspace / ".devcontainer.json").write_text('{"image": "agreed.test/x"}')
    settled = read(paths, None, {"agent": "shell", "backend": "podman"})
    wishes = Wishes(workspace, settled, project=project_of(workspace, settled))
    (workspace / ".devcontainer.json").write_text('{"image": "evil.test/x"}')

    assert prepare(wishes, paths, Gift()).request.build.project.base == "agreed.test/x"


@pytest.mark.parametrize("by", ["paude.json", ".devcontainer.json"])
def test_a_containerfile_that_was_changed_is_asked_about_again(paths: Paths, tmp_path: Path, by: str) -> None:
    workspace = tmp_path / "project"
    says = {"containerfile": "namespace"} if by == "paude.json" else {"dockerfile": "namespace"}
    (workspace / by).write_text(json.dumps({"build": says}))

    def brought(recipe: str) -> dict[str, object]:
        (workspace / "namespace").write_text(recipe)
        settled = read(paths, workspace, {"agent": "shell"})
        return {**settled.brought, **project_of(workspace, settled).asks}

    agreed.agree(paths, workspace, brought("FROM x"))
    assert agreed.changed(paths, workspace, brought("FROM x")) == {}
    assert list(agreed.changed(paths, workspace, brought("FROM x\nCOPY . /all"))) == ["what namespace says"]


def test_a_containerfile_that_is_no_file_is_refused(paths: Paths, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "project/C")
    (tmp_path / "project/paude.json").write_text('{"build": {"containerfile": "C"}}')
    with pytest.raises(SettingsError, match="is no file"):
        project_of(tmp_path / "project", read(paths, tmp_path / "project"))
