"""What goes into the tar file for a bug report."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from paude.cli import bundle
from paude.settings import Paths, read


def test_a_build_argument_is_there_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUDE_BUILD_ARGS", "NPM_TOKEN=canary,MODE=x")
    paths = Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))

    bundle.write(tmp_path / "report.tar.gz", paths, read(paths, None), {})

    with tarfile.open(tmp_path / "report.tar.gz") as report:
        texts = {one.name: file.read().decode() for one in report if (file := report.extractfile(one))}
    assert list(json.loads(texts["paude-report/settings.json"])["build.args"]["value"]) == ["NPM_TOKEN", "MODE"]
    assert not any("canary" in text for text in texts.values())
