"""What a base image of the user's may be, and what is said of one that cannot be; built by the real podman."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paude.errors import ImageError
from paude.images.build import BuildSettings, build
from podman_machine import BASE, available, podman

pytestmark = [pytest.mark.podman, pytest.mark.anyio]

UNUSUAL = 'USER 65534\nENTRYPOINT ["/bin/false"]\nCMD ["--no"]\nENV HOME=/root\nWORKDIR /root\nVOLUME /workspace\n'
NO_DEBIAN = {
    "nothing at all": "FROM scratch\nLABEL nothing=here\n",
    "no apt": f"FROM {BASE}\nRUN rm -f /usr/bin/apt-get\n",
    "no shell": f'FROM {BASE}\nRUN ["/bin/rm", "-f", "/bin/sh", "/usr/bin/sh"]\n',
}


@pytest.fixture(autouse=True)
def _machine() -> None:
    assert available(), "needs podman and the base image"


@contextmanager
def base(containerfile: str) -> Iterator[str]:
    """An image of its own, made of the base image of the tests."""
    name = f"localhost/paude-test-base-{os.urandom(4).hex()}"
    podman("build", "--network=none", "--tag", name, "-", stdin=containerfile)
    try:
        yield name
    finally:
        podman("rmi", "--force", name, check=False)


async def test_user_entrypoint_home_and_volumes_of_a_base_do_not_count(tmp_path: Path) -> None:
    with base(f"FROM {BASE}\n{UNUSUAL}") as name:
        settings = BuildSettings(cache=tmp_path / "cache", base=name, network="host")
        made = await build(settings.image("agent", "shell"), f"test-{os.urandom(4).hex()}", settings)
        try:
            said = podman(
                "run", "--rm", "--network=none", made, "sh", "-c", "id -u; echo $HOME; pwd; command -v tmux sshd"
            )
            assert said.split() == ["10001", "/home/paude", "/workspace", "/usr/bin/tmux"]
            podman("run", "--rm", "--network=none", made, "test", "-x", "/usr/sbin/sshd")
        finally:
            podman("rmi", "--force", made)


@pytest.mark.parametrize("case", NO_DEBIAN)
async def test_a_base_that_is_no_debian_is_said_to_be_none(case: str, tmp_path: Path) -> None:
    with base(NO_DEBIAN[case]) as name:
        settings = BuildSettings(cache=tmp_path / "cache", base=name, network="host")
        with pytest.raises(ImageError, match="cannot be built") as caught:
            await build(settings.image("agent", "shell"), "test", settings)
    assert name in caught.value.hint
    assert "Debian or Ubuntu" in caught.value.hint
