"""Why a session's network is no internal network of podman's: the resolver on one of those carries names out.

Needs netavark and aardvark-dns before 1.11 (Debian 12's), which are unpacked and not installed: every other podman of
this machine keeps the network that it has. They ask the resolver of the fake internet: the test's podman runs in a
mount namespace of its own, with a resolv.conf of its own.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from podman_machine import podman
from world import zone
from world.client import World

pytestmark = pytest.mark.podman

CHECKOUT = Path(__file__).parents[2]
IMAGE = os.environ.get("PAUDE_TEST_BASE_IMAGE", "localhost/paude-base:bookworm")
SETTINGS = """\
[engine]
runtime = "runc"
helper_binaries_dir = ["{helpers}"]
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""


def asked(directory: Path, helpers: Path, network: str, make: str) -> bool:
    """Whether a name that a container in such a network looks up arrives at the resolver outside."""
    name = f"{secrets.token_hex(6)}.forbidden.test"
    (directory / "resolv.conf").write_text(f"nameserver {zone.RESOLVER}\n")
    (directory / "networks").mkdir(exist_ok=True)
    (directory / "containers.conf").write_text(SETTINGS.format(helpers=helpers, directory=directory))
    storage = podman("info", "-f", "{{.Store.GraphRoot}}")
    places = f"--root {directory}/storage --runroot {directory}/run --storage-driver overlay"
    own = f"podman {places} --storage-opt additionalimagestore={storage}"
    script = f"""
        mount --bind {directory}/resolv.conf /etc/resolv.conf || exit 9
        {make.format(podman=own)}
        {own} run --rm --network {network} {IMAGE} getent hosts {name}
        {own} network rm --force paude-inner 2>/dev/null
        umount {directory}/storage/overlay 2>/dev/null; true
    """
    env = {**os.environ, "CONTAINERS_CONF": str(directory / "containers.conf")}
    subprocess.run(["unshare", "-m", "bash", "-c", script], env=env, capture_output=True, timeout=90, check=True)
    return bool(World().queries(name))


@pytest.fixture
def helpers() -> Path:
    """Where podman finds them."""
    words = [CHECKOUT / "scripts/lib/unpacked", "netavark", "aardvark-dns"]
    place = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    return Path(place) / "usr/lib/podman"


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pn-") as name:  # podman wants short paths for its sockets
        yield Path(name)


def test_the_resolver_of_an_internal_network_carries_names_out_and_no_network_does_not(
    directory: Path, helpers: Path
) -> None:
    create = "{podman} network create --internal paude-inner"
    assert asked(directory, helpers, "paude-inner", create), "the control did not leak, so nothing was shown"
    without = "{podman} network create --internal --disable-dns paude-inner"
    assert not asked(directory, helpers, "paude-inner", without)
    assert not asked(directory, helpers, "none", "true")
