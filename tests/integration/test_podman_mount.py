"""`--mount`: the agent works on the developer's directory itself; everything else of a session stays."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop
from podman_machine import available, machine, things

pytestmark = pytest.mark.podman

OWNER = 12345


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        made.home.chmod(0o755)
        yield made


def owned(workspace: Path) -> Path:
    for path in (workspace, *workspace.rglob("*")):
        os.chown(path, OWNER, OWNER)
    return workspace


def test_both_sides_see_one_directory_and_the_wall_stands_all_the_same(laptop: Laptop) -> None:
    workspace = owned(laptop.workspace("mounted", {"README": "hello\n", ".env": "SECRET=1\n"}))
    started = laptop.paude("start", str(workspace), "--agent", "shell", "-d", "--mount", "--timeout", "250")
    assert "nothing is held back" in started.stderr
    name = str(laptop.records()[str(workspace)]["name"])

    # One directory: what is written on one side is there at once, whatever the guard would have said.
    assert laptop.inside(name, "cat /workspace/README /workspace/.env") == "hello\nSECRET=1\n"
    laptop.inside(name, "git -C /workspace init -q; echo x > /workspace/.git/hooks/post-checkout")
    assert (workspace / ".git/hooks/post-checkout").read_text() == "x\n"
    assert (workspace / ".git/hooks/post-checkout").stat().st_uid == OWNER
    assert laptop.inside(name, "id -u").strip() == str(OWNER)

    ask = "curl -sk -o /dev/null -m 10 -w '%{http_connect}' https://forbidden.test/ || true"
    assert laptop.inside(name, ask) == "403"
    assert laptop.inside(name, "ls /sys/class/net").split() == ["lo"]
    laptop.paude("verify", name)
    assert "--mount" in laptop.paude("status", name).stdout
    assert "--mount" in laptop.paude("sync", "status", name, code=2).stderr
    assert "--mount" in laptop.paude("review", name, code=2).stderr

    laptop.paude("stop", name, "--keep-workspace")
    laptop.paude("start", str(workspace), "--agent", "shell", "-d")
    assert laptop.inside(name, "cat /workspace/README") == "hello\n"
    laptop.paude("stop", name)
    assert things(name) == set()
    assert (workspace / "README").read_text() == "hello\n"


def test_a_directory_of_roots_is_not_mounted_for_the_agent_would_have_to_be_root(laptop: Laptop) -> None:
    workspace = laptop.workspace("of-root")
    said = laptop.paude("start", str(workspace), "--agent", "shell", "-d", "--mount", code=2).stderr
    assert "its owner is root" in said
    assert laptop.records().get(str(workspace)) is None


def test_a_session_with_a_copy_does_not_become_one_without(laptop: Laptop) -> None:
    workspace = owned(laptop.workspace("copied"))
    name = laptop.start(workspace)
    assert "copy" in laptop.paude("start", str(workspace), "--agent", "shell", "-d", "--mount", code=2).stderr
    laptop.paude("stop", name, "--discard")
    subprocess.run(["rm", "-rf", workspace], check=True)
