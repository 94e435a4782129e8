"""Why a session's network is no internal network of podman's: the resolver on one of those carries names out.

Needs netavark and aardvark-dns before 1.11 (Debian 12's), installed or unpacked below PAUDE_TEST_NETAVARK. They ask the
resolver of the fake internet: the test's podman runs in a mount namespace of its own, with a resolv.conf of its own.
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

HELPERS = Path(os.environ.get("PAUDE_TEST_NETAVARK", "/usr/lib/podman"))
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


def asked(directory: Path, network: str, make: str) -> bool:
    """Whether a name that a container in such a network looks up arrives at the resolver outside."""
    name = f"{secrets.token_hex(6)}.forbidden.test"
    (directory / "resolv.conf").write_text(f"nameserver {zone.RESOLVER}\n")
    (directory / "networks").mkdir(exist_ok=True)
    (directory / "containers.conf").write_text(SETTINGS.format(helpers=HELPERS, directory=directory))
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
def directory() -> Iterator[Path]:
    if not (HELPERS / "aardvark-dns").exists():
        pytest.skip("needs netavark and aardvark-dns; PAUDE_TEST_NETAVARK names where they are")
    with tempfile.TemporaryDirectory(prefix="pn-") as name:  # podman wants short paths for its sockets
        yield Path(name)


def test_the_resolver_of_an_internal_network_carries_names_out_and_no_network_does_not(directory: Path) -> None:
    create = "{podman} network create --internal paude-inner"
    assert asked(directory, "paude-inner", create), "the control did not leak, so nothing was shown"
    assert not asked(directory, "paude-inner", "{podman} network create --internal --disable-dns paude-inner")
    assert not asked(directory, "none", "true")
