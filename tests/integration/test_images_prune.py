"""What `paude prune` takes out of podman's storage, and what it must never touch; in a storage of the test's own."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from paude.images.agents import NAMES
from paude.images.prune import listed

pytestmark = pytest.mark.podman

OLD, OTHER = "localhost/paude-gate:0123456789ab", ("localhost/paude-base:bookworm", "localhost/mine:1")


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose podman has a storage of its own."""
    if shutil.which("podman") is None:
        pytest.fail("podman is not installed")
    conf = tmp_path / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n')
    own = {f"XDG_{name}": str(tmp_path / name.lower()) for name in ("STATE_HOME", "CACHE_HOME", "CONFIG_HOME")}
    (tmp_path / "r").mkdir(mode=0o700)
    place = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "r"), "CONTAINERS_STORAGE_CONF": str(conf)}
    return {"PATH": os.environ["PATH"], "PAUDE_BACKEND": "podman", **place, **own}


def run(env: dict[str, str], *words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(words, env=env, input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout.decode()


def paude(env: dict[str, str], *words: str) -> str:
    return run(env, sys.executable, "-m", "paude", *words)


def make(env: dict[str, str], *names: str) -> None:
    """Images with a file of their own each."""
    for name in names:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo("name")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
        run(env, "podman", "import", "-", name, stdin=tar.getvalue())


def names(env: dict[str, str]) -> set[str]:
    return set(run(env, "podman", "images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}").split())


def test_what_no_start_would_use_goes_and_everything_else_stays(machine: dict[str, str]) -> None:
    script = "import anyio, pathlib\nfrom paude.images import prune\nfrom paude.images.build import BuildSettings\n"
    script += "from paude.settings import Paths, Settings\np = Paths.from_environment()\n"
    script += "b = BuildSettings.of(Settings(), cache=p.cache)\n"
    current = run(machine, sys.executable, "-c", script + "print(*anyio.run(prune.wanted, b))").split()
    assert len(current) == len(NAMES) + 2, "an image for each agent, gate and proxy"
    make(machine, OLD, *OTHER, *current)

    assert paude(machine, "prune", "--dry-run", "-o", "name").split() == [OLD]
    assert OLD in names(machine)
    assert [one["name"] for one in json.loads(paude(machine, "prune", "-o", "json"))["images"]] == [OLD]
    assert names(machine) == {*OTHER, *current}
    paude(machine, "prune", "--all")
    assert names(machine) == set(OTHER)


def test_a_list_of_images_may_hold_anything() -> None:
    odd = [{}, {"Names": None}, {"Names": ["docker.io/x:1"], "Size": "big"}, {"Names": [OLD, "localhost/x:1"], "Id": 5}]
    assert [(one.name, one.size) for one in listed(odd)] == [(OLD, 0)]
