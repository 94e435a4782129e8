"""The real Codex in a session, built from its npm package: it comes up to its first screen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from podman_machine import available, machine
from waiting import eventually
from world.alone import alone

pytestmark = [pytest.mark.podman, pytest.mark.slow]

SCREEN = "tmux -S /run/paude/tmux.sock capture-pane -p -t agent"


def test_codex_comes_up_to_its_first_screen() -> None:
    if not available():
        pytest.skip("needs podman and the base image")
    with alone(), tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as laptop:
        workspace = laptop.workspace("project")
        laptop.paude("start", str(workspace), "--agent", "codex", "--detach", "--yes")
        name = str(laptop.records()[str(workspace)]["name"])

        assert laptop.inside(name, "codex --version").startswith("codex-cli ")
        eventually(lambda: "Codex" in laptop.inside(name, SCREEN), 60, "the first screen")
