"""The session as manifests: what printing them may not do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from paude.plans.perform import manifests_of
from paude.plans.request import Gift, Wishes, prepare
from paude.settings import Paths, read

pytestmark = pytest.mark.anyio


async def test_what_the_workspace_wants_to_build_is_not_built_for_a_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, programs, ran = tmp_path / "project", tmp_path / "bin", tmp_path / "ran"
    (workspace / ".devcontainer").mkdir(parents=True)
    (workspace / ".devcontainer/Dockerfile").write_text("FROM scratch\n")
    (workspace / ".devcontainer/devcontainer.json").write_text(json.dumps({"build": {"dockerfile": "Dockerfile"}}))
    programs.mkdir()
    (programs / "podman").write_text(f'#!/bin/sh\necho "$@" >> {ran}\nexit 1\n')
    (programs / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    paths = Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))
    settled = read(paths, workspace, {"agent": "shell", "backend": "kubernetes", "registry": "registry.test/team"})

    objects = await manifests_of(prepare(Wishes(workspace, settled), paths, Gift()), ids_assigned=False)

    pod = next(one for one in objects if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.test/team/paude-agent:TAG-ONCE-BUILT"
    assert not ran.exists(), ran.read_text()
