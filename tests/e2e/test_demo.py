"""The command of the README that shows the main job, on either kind of place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DEMO_S = 600


def _demo(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    argv = [*before, str(CHECKOUT / "scripts/demo"), *words]
    return subprocess.run(argv, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEMO_S)


def _traces() -> set[str]:
    return {name for name in os.listdir("/tmp") if name.startswith("pd-")}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), marks=pytest.mark.podman, id="podman"),
        pytest.param(("--kubernetes",), marks=pytest.mark.cluster, id="kubernetes"),
    ],
)
def test_the_demo_shows_the_main_job_and_leaves_nothing(words: tuple[str, ...]) -> None:
    before = _traces()
    done = _demo(*words)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    assert lines[-1] == "demo: ok"
    assert any("note: written on the laptop" in line for line in lines)
    assert any("hello.py: written by the agent" in line for line in lines)
    assert any("forbidden.test" in line and line.endswith("403") for line in lines)
    assert any("typed from 42 km" in line for line in lines)
    assert "nothing gets out of hello-" in done.stderr
    assert _traces() <= before


@pytest.mark.parametrize("words", [(), ("--kubernetes",), ("--elsewhere",)])
def test_a_demo_that_cannot_be_given_never_says_ok(words: tuple[str, ...]) -> None:
    done = _demo(*words, before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert done.returncode != 0
    assert "demo: ok" not in done.stdout
    assert done.stderr.splitlines()[-1].startswith("demo: failed")
