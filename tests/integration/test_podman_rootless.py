"""The same session for a user who is not root: what he has is his, and the wall holds without any right of root's."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest

from podman_machine import available
from podman_user import User, ordinary_user

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    if not available():
        pytest.skip("needs podman and the base image")
    with ordinary_user() as made:
        yield made


def test_an_ordinary_user_has_the_whole_session_and_nothing_is_left_of_it(user: User) -> None:
    workspace = user.workspace("project", {"README": "hello\n"})
    name = user.start(workspace, "--allow", "allowed.test")

    assert user.inside(name, "cat /workspace/README") == "hello\n"
    user.inside(name, "echo there > /workspace/from-there")
    end = time.monotonic() + 20
    while not (workspace / "from-there").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (workspace / "from-there").stat().st_uid == user.uid

    # Whatever breaks out of the agent's container is nobody on this machine, not even the user.
    pid = user.podman("inspect", "--format", "{{.State.Pid}}", f"paude-{name}-agent")
    owner = subprocess.run(["ps", "-o", "uid=", "-p", pid], capture_output=True, text=True, check=True).stdout
    assert int(owner) not in {0, user.uid}

    ask = "curl -sk -o /dev/null -m 10 -w '%{{http_connect}}' https://{}/ || true"
    assert user.inside(name, ask.format("allowed.test")) == "200"
    assert user.inside(name, ask.format("forbidden.test")) == "403"
    user.paude("deny", "allowed.test", name)
    assert user.inside(name, ask.format("allowed.test")) == "403"
    probes = json.loads(user.paude("verify", name, "-o", "json").stdout)["probes"]
    assert {one["result"] for one in probes} <= {"closed", "warning"}

    user.paude("stop", name)
    assert user.things() == []


def test_what_the_agent_writes_into_a_mounted_directory_is_the_users(user: User) -> None:
    workspace = user.workspace("mounted", {"README": "hello\n"})
    name = user.start(workspace, "--mount")
    user.inside(name, "cat /workspace/README > /workspace/written")
    assert (workspace / "written").read_text() == "hello\n"
    assert (workspace / "written").stat().st_uid == user.uid
    assert user.inside(name, "cat /proc/self/status | grep CapBnd").split() == ["CapBnd:", "0" * 16]
    user.paude("verify", name)
    user.paude("stop", name)
    assert user.things() == []


def test_a_reboot_is_survived_by_the_next_start(user: User) -> None:
    workspace = user.workspace("rebooted", {"README": "hello\n"})
    name = user.start(workspace)
    user.inside(name, "echo kept > /home/paude/kept; echo there > /workspace/there")
    user.paude("sync", "flush", name)
    user.reboot()
    assert name in user.paude("sessions", "-o", "name").stdout
    user.start(workspace)
    assert user.inside(name, "cat /home/paude/kept /workspace/there") == "kept\nthere\n"
    user.paude("verify", name)
    user.paude("stop", name)
    assert user.things() == []


def test_without_a_range_of_user_ids_it_is_said_how_to_get_one(user: User) -> None:
    workspace = user.workspace("no-range")
    hide = ("unshare", "--mount", "bash", "-c", 'mount --bind /dev/null /etc/subuid && exec "$@"', "-")
    nsenter, rest = user.program[:2], user.program[2:]
    user.podman("system", "migrate")  # the namespace that he has got would go on being used
    poor = User(user.home, user.state, user.env, (*nsenter, *hide, *rest), user.uid, user.enter)
    done = poor.paude("start", str(workspace), "--agent", "shell", "--detach", "--progress", "quiet", code=1)
    assert "no range of user IDs" in done.stderr
    assert "--add-subuids" in done.stderr
    assert user.records() == {}
