"""A laptop of its own for each test, against the real test cluster."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canaries import Planted
from laptop import Admin, Laptop

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster_env() -> dict[str, str]:
    """What `scripts/cluster env` exports. The cluster has to run: that is a failure here, never a skip."""
    done = subprocess.run([CHECKOUT / "scripts/cluster", "env"], capture_output=True, text=True, check=True)
    exports = (line.removeprefix("export ") for line in done.stdout.splitlines() if line.startswith("export "))
    found = dict(line.split("=", 1) for line in exports)
    assert Path(found["KUBECONFIG"]).is_file(), "the test cluster does not run: scripts/cluster up"
    return {key: value for key, value in found.items() if key != "PATH"}


@pytest.fixture(scope="session")
def cache_home() -> Iterator[Path]:
    """One cache for all laptops, so that hashes and downloads are made once."""
    with tempfile.TemporaryDirectory(prefix="pc-") as name:
        yield Path(name)


@pytest.fixture
def laptop(cluster_env: dict[str, str], cache_home: Path) -> Iterator[Laptop]:
    """A fresh laptop whose user is `dev`, with a login to the registry; its sessions are gone afterwards."""
    with a_laptop(cluster_env, cache_home) as made:
        yield made


@pytest.fixture
def other_laptop(cluster_env: dict[str, str], cache_home: Path) -> Iterator[Laptop]:
    """A second one of the same user."""
    with a_laptop(cluster_env, cache_home) as made:
        yield made


@pytest.fixture(scope="module")
def shared_laptop(cluster_env: dict[str, str], cache_home: Path) -> Iterator[Laptop]:
    """The same, one for all tests of a module."""
    with a_laptop(cluster_env, cache_home) as made:
        yield made


@contextmanager
def a_laptop(cluster_env: dict[str, str], cache_home: Path) -> Iterator[Laptop]:
    """What both are made of."""
    home = Path(tempfile.mkdtemp(prefix="pl-"))
    state, runtime = home / ".s", home / ".r"
    login = home / "auth.json"
    login.write_text(json.dumps({"auths": {cluster_env["PAUDE_TEST_REGISTRY"]: {"auth": _basic("dev:token123")}}}))
    env = {
        **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
        **cluster_env,
        "HOME": str(home),
        "XDG_STATE_HOME": str(state),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_CACHE_HOME": str(cache_home),
        "KUBECONFIG": f"{cluster_env['PAUDE_TEST_STATE']}/dev.kubeconfig",
        "REGISTRY_AUTH_FILE": str(login),
        "PAUDE_REGISTRY": f"{cluster_env['PAUDE_TEST_REGISTRY']}/dev",
        "PAUDE_REGISTRY_CA": cluster_env["PAUDE_TEST_CA"],
        "PAUDE_BACKEND": "kubernetes",
        "PAUDE_BASE_IMAGE": cluster_env["PAUDE_TEST_BASE_IMAGE"],
        "PAUDE_BUILD_NETWORK": "host",
        "PAUDE_RESOURCES_REQUESTS_CPU": "250m",  # the one node of the test cluster is small
        "PAUDE_RESOURCES_REQUESTS_MEMORY": "512Mi",
    }
    for directory in (state, runtime):
        directory.mkdir(mode=0o700)
    made = Laptop(home, state, env)
    planted = Planted.on(made)
    try:
        yield made
        planted.check(Admin(f"{cluster_env['PAUDE_TEST_STATE']}/admin.kubeconfig"))
    finally:
        made.paude("stop", "--all", "--discard", code=None)
        made.paude("supervisor", "stop", code=None)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def kubectl(cluster_env: dict[str, str]) -> Admin:
    """kubectl as the administrator of the test cluster."""
    return Admin(f"{cluster_env['PAUDE_TEST_STATE']}/admin.kubeconfig")


def _basic(words: str) -> str:
    return base64.b64encode(words.encode()).decode()
