"""On Podman the laptop comes in by the gate's doors, and by podman where it does not see them; nobody else has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import podman

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def session(laptop: Laptop) -> str:
    return laptop.start(laptop.workspace("project"), "--timeout", "250")


@pytest.fixture
def without_podman(laptop: Laptop, tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which everything is but podman; its supervisor is another one, too."""
    for directory in os.environ["PATH"].split(":"):
        for program in Path(directory).glob("*"):
            if program.name != "podman" and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    laptop.paude("supervisor", "stop")
    return {"PATH": str(tmp_path)}


def test_what_runs_is_reached_without_any_podman(laptop: Laptop, session: str, without_podman: dict[str, str]) -> None:
    words = ("exec", session, "--no-tty", "--", "cat", "/workspace/README")
    assert laptop.paude(*words, **without_podman).stdout == "hello\n"
    laptop.paude("supervisor", "stop")
    way = laptop.state / "paude" / "sessions" / session / "volume"
    place = way.readlink()
    way.unlink()
    try:
        laptop.paude(*words, code=255, **without_podman)
        laptop.paude("supervisor", "stop")
        assert laptop.paude(*words).stdout == "hello\n"
    finally:
        way.symlink_to(place)


def test_neither_agent_nor_proxy_has_the_doors(session: str) -> None:
    own = f"/paude-{session}/_data"
    assert any(root.endswith(own) for root in mounted(session, "gate"))
    for part in ("agent", "proxy", "net"):
        assert not [root for root in mounted(session, part) if root.endswith(own) or f"{own}/gate" in root]


def mounted(session: str, part: str) -> list[str]:
    """What of this machine's file systems is mounted in a container (proc(5), mountinfo, the fourth field)."""
    table = podman("exec", f"paude-{session}-{part}", "cat", "/proc/self/mountinfo")
    return [line.split()[3] for line in table.splitlines()]
