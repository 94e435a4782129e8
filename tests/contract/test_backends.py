"""What every backend has to do, verb by verb: the same tests against Podman and against a real cluster."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import podman_machine
from laptop import Laptop
from world.client import World

CHECKOUT = Path(__file__).parents[2]
SOON_S = 20.0
OWN = f"*.{secrets.token_hex(4)}.test"
"""On the list, so that on a cluster no other session has the same list, and with it the same proxy."""


@dataclass(frozen=True)
class Place:
    """A backend: a laptop that uses it, and what is there of a session, by whatever name."""

    laptop: Laptop
    things: Callable[[str], set[str]]


@dataclass(frozen=True)
class Session:
    """A session for these tests, and its workspace."""

    place: Place
    name: str
    workspace: Path

    def inside(self, command: str) -> str:
        return self.place.laptop.inside(self.name, command).strip()

    def connects(self, host: str) -> str:
        """What the proxy answers when the agent asks for a host: 200, or 403."""
        ask = f"curl -sk -o /dev/null -m 10 -w '%{{http_connect}}' https://{host}/ || true"
        return self.inside(ask)

    def facts(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.place.laptop.paude("status", self.name, "-o", "json").stdout)
        return found


@contextmanager
def on_podman(cache: Path) -> Iterator[Place]:
    with podman_machine.machine(cache) as laptop:
        yield Place(laptop, podman_machine.things)


@contextmanager
def on_a_cluster(cache: Path) -> Iterator[Place]:
    done = subprocess.run([CHECKOUT / "scripts/cluster", "env"], capture_output=True, text=True, check=True)
    lines = (line.removeprefix("export ") for line in done.stdout.splitlines() if line.startswith("export "))
    env = {key: value for key, _, value in (line.partition("=") for line in lines) if key != "PATH"}
    with podman_machine.machine(cache) as laptop:
        login = laptop.home / "auth.json"
        token = base64.b64encode(b"dev:token123").decode()
        login.write_text(json.dumps({"auths": {env["PAUDE_TEST_REGISTRY"]: {"auth": token}}}))
        laptop.env |= {
            **env,
            "KUBECONFIG": f"{env['PAUDE_TEST_STATE']}/dev.kubeconfig",
            "REGISTRY_AUTH_FILE": str(login),
            "PAUDE_REGISTRY": f"{env['PAUDE_TEST_REGISTRY']}/dev",
            "PAUDE_REGISTRY_CA": env["PAUDE_TEST_CA"],
        }

        def things(name: str) -> set[str]:
            kinds = "statefulset,pod,service,secret,configmap,networkpolicy,persistentvolumeclaim"
            admin = f"{env['PAUDE_TEST_STATE']}/admin.kubeconfig"
            words = ["kubectl", "--kubeconfig", admin, "-n", "proj-a", "get", kinds, "-o", "name"]
            listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
            return {one for one in listed.split() if name in one}

        yield Place(laptop, things)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(on_podman, marks=pytest.mark.podman, id="podman"),
        pytest.param(on_a_cluster, marks=pytest.mark.cluster, id="kubernetes"),
    ],
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if not podman_machine.available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, request.param(Path(cache)) as made:
        yield made


@pytest.fixture(scope="module")
def session(place: Place) -> Session:
    workspace = place.laptop.workspace("project", {"README": "hello\n", "src/a.py": "a = 1\n"})
    git(workspace, "init", "-q", "-b", "main")
    git(workspace, "config", "user.name", "Dev")
    git(workspace, "config", "user.email", "dev@example.test")
    git(workspace, "add", ".")
    git(workspace, "commit", "-q", "-m", "begin")
    return Session(place, place.laptop.start(workspace, "--allow", OWN, "--timeout", "250"), workspace)


def git(workspace: Path, *words: str) -> str:
    who = ("-c", "user.name=Dev", "-c", "user.email=dev@example.test")
    return subprocess.run(["git", *who, *words], cwd=workspace, check=True, capture_output=True, text=True).stdout


def eventually(holds: Callable[[], object], within: float = SOON_S) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.05)


def test_the_agent_finds_the_workspace_and_its_history(session: Session) -> None:
    assert session.inside("cat /workspace/README") == "hello"
    eventually(lambda: session.inside("git -C /workspace log --format=%s 2>/dev/null || true") == "begin")


def test_the_agent_is_an_ordinary_user_without_any_capability(session: Session) -> None:
    status = session.inside("cat /proc/self/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(found["Uid"].split()[0]) > 1000
    assert {found[f"Cap{one}"] for one in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


def test_the_agent_cannot_write_where_it_has_no_business(session: Session) -> None:
    for path in ("/etc/x", "/opt/paude/bin/x", "/run/gate/leave", "/run/inbox/x", "/etc/paude/ssh/x", "/usr/sbin/sshd"):
        assert session.inside(f"touch {path} 2>/dev/null && echo written || echo refused") == "refused"


def test_the_agent_sees_neither_the_gates_keys_nor_its_part_of_the_volume(session: Session) -> None:
    assert session.inside("ls -d /vol /run/paude/gate.sock 2>/dev/null || true") == ""
    assert session.inside("grep -c restrict /etc/paude/ssh/authorized_keys") == "1"


def test_the_agent_commits_as_the_developer_and_cannot_change_what_it_was_given(session: Session) -> None:
    assert session.inside("git config user.email") == "dev@example.test"
    for path in ("/run/secrets/x", "/run/secrets/gitconfig", "/run/secrets/paude/gitconfig"):
        assert session.inside(f"touch {path} 2>/dev/null && echo written || echo refused") == "refused"


def test_an_edit_travels_both_ways(session: Session) -> None:
    (session.workspace / "src/a.py").write_text("a = 2\n")
    eventually(lambda: session.inside("cat /workspace/src/a.py") == "a = 2")
    session.inside("echo 'b = 1' > /workspace/src/b.py")
    eventually(lambda: (session.workspace / "src/b.py").exists())
    assert (session.workspace / "src/b.py").read_text() == "b = 1\n"


def test_exec_passes_streams_and_exit_codes(session: Session) -> None:
    done = session.place.laptop.paude(
        "exec", session.name, "--no-tty", "--", "bash", "-c", "echo out; echo err >&2; exit 7", code=7
    )
    assert (done.stdout, done.stderr.strip().splitlines()[-1]) == ("out\n", "err")


def test_files_are_copied_in_and_out(session: Session, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * 4096)
    session.place.laptop.paude("cp", str(there), f"{session.name}:/tmp/copied")
    session.place.laptop.paude("cp", f"{session.name}:/tmp/copied", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_status_and_sessions_say_that_it_runs_behind_a_clean_fence(session: Session) -> None:
    facts = session.facts()
    assert (facts["state"], facts["fence"]["state"]) == ("running", "clean")  # type: ignore[index]
    listed = json.loads(session.place.laptop.paude("sessions", "-o", "json").stdout)["sessions"]
    mine = next(one for one in listed if one["name"] == session.name)
    assert (mine["state"], mine["wall"], mine["workspace"]) == ("running", "closed", str(session.workspace))


def test_the_gates_log_tells_when_leave_was_given(session: Session) -> None:
    assert "leave given" in session.place.laptop.paude("logs", session.name).stdout


def test_the_proxy_is_the_only_way_and_refuses_what_is_not_on_the_list(session: Session) -> None:
    assert session.connects("forbidden.test") == "403"
    assert session.inside("getent hosts allowed.test || echo nothing") == "nothing"


def test_every_probe_of_the_wall_is_closed(session: Session) -> None:
    done = session.place.laptop.paude("verify", session.name, "-o", "json")
    assert {probe["result"] for probe in json.loads(done.stdout)["probes"]} <= {"closed", "warning"}


def test_a_host_is_allowed_and_denied_while_the_agent_works_and_no_tunnel_outlives_it(session: Session) -> None:
    paude = session.place.laptop.paude
    assert session.connects("allowed.test") == "403"
    refused = {one["host"]: one for one in json.loads(paude("blocked", session.name, "-o", "json").stdout)["refused"]}
    assert refused["allowed.test"]["allow"] == f"paude allow allowed.test {session.name}"

    paude("allow", "allowed.test", session.name)
    assert session.connects("allowed.test") == "200"
    assert set(paude("egress", "show", session.name, "-o", "name").stdout.split()) == {"allowed.test", OWN}

    calls = f"https://allowed.test/{session.name}/[1-100000]"
    session.inside(
        f"setsid curl -sSk -m 600 --rate 600/m {calls} > /tmp/calls 2>&1 < /dev/null & echo $! > /tmp/caller"
    )
    world = World()
    arrived = lambda: sum(session.name in one["path"] for one in world.seen().requests)  # noqa: E731
    eventually(lambda: arrived() > 2)
    paude("deny", "allowed.test", session.name)
    shut = arrived()
    assert session.connects("allowed.test") == "403"
    assert json.loads(paude("egress", "show", session.name, "-o", "json").stdout)["hosts"] == [OWN]
    eventually(lambda: "403" in session.inside("cat /tmp/calls"))
    assert arrived() == shut
    paude("deny", "allowed.test", session.name, code=2)


def test_refusals_are_shown_as_they_come_also_after_the_list_changed(session: Session) -> None:
    with session.place.laptop.popen("blocked", session.name, "--watch", "-o", "name") as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        session.connects("first.forbidden.test")
        assert "first.forbidden.test\n" in lines
        session.place.laptop.paude("allow", "other.test", session.name)
        session.connects("second.forbidden.test")
        assert "second.forbidden.test\n" in lines
        watching.send_signal(signal.SIGINT)
    session.place.laptop.paude("deny", "other.test", session.name)


def test_a_parked_agent_ends_and_a_start_lets_it_work_again(session: Session) -> None:
    # A stop that keeps the workspace, and the start after it: what is on the volume is what the agent finds.
    session.inside("echo kept > /home/paude/kept")
    session.place.laptop.paude("stop", session.name, "--keep-workspace")
    assert session.facts()["state"] == "stopped"
    assert session.place.laptop.start(session.workspace) == session.name
    assert session.inside("cat /home/paude/kept /workspace/src/a.py") == "kept\na = 2"


def test_a_second_start_of_a_running_session_changes_nothing(session: Session) -> None:
    session.inside("echo same > /tmp/same")
    session.place.laptop.start(session.workspace)
    assert session.inside("cat /tmp/same") == "same"


def test_the_agents_commits_come_home_with_the_stop_and_nothing_is_left(session: Session) -> None:
    who = "-c user.name=Agent -c user.email=agent@example.test"
    eventually(lambda: session.inside("test -d /workspace/.git && echo there || true") == "there")
    session.inside(f"cd /workspace && git add -A && git {who} commit -q -m work")
    assert session.place.things(session.name)
    session.place.laptop.paude("stop", session.name)
    assert session.place.things(session.name) == set()
    refs = git(session.workspace, "for-each-ref", "--format=%(subject)", f"refs/paude/{session.name}")
    assert "work" in refs
    assert session.place.laptop.records() == {}


def test_a_name_that_somebody_else_has_is_refused_and_left_alone(place: Place) -> None:
    name = place.laptop.start(place.laptop.workspace("first"), "--name", "contract-taken")
    before = place.things(name)
    with podman_machine.machine(place.laptop.home) as other:
        other.env |= {key: value for key, value in place.laptop.env.items() if not key.startswith(("HOME", "XDG"))}
        other.paude("start", str(other.workspace("second")), "--agent", "shell", "-d", "--name", name, code=5)
        assert other.records() == {}
    assert place.things(name) == before
    place.laptop.paude("stop", name, "--discard")
