"""What a start decided before it had its locks, and what has become of it when it has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paude.plans.request import Gift, Prepared, Wishes, prepare
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read


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
