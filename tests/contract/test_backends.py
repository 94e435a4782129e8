"""What every backend has to do, verb by verb: the same tests against Podman and against a real cluster."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest

import podman_machine
from places import Place, Session, git, start_session
from waiting import eventually
from world.client import World

OWN = f"*.{secrets.token_hex(4)}.test"
"""On the list, so that on a cluster no other session has the same list, and with it the same proxy."""


@pytest.fixture(scope="module")
def session(place: Place) -> Session:
    return start_session(place, "--allow", OWN)


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


@pytest.mark.verbs("exec")
def test_exec_passes_streams_and_exit_codes(session: Session) -> None:
    done = session.place.laptop.paude(
        "exec", session.name, "--no-tty", "--", "bash", "-c", "echo out; echo err >&2; exit 7", code=7
    )
    assert (done.stdout, done.stderr.strip().splitlines()[-1]) == ("out\n", "err")


@pytest.mark.verbs("cp")
def test_files_are_copied_in_and_out(session: Session, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * 4096)
    session.place.laptop.paude("cp", str(there), f"{session.name}:/tmp/copied")
    session.place.laptop.paude("cp", f"{session.name}:/tmp/copied", str(back))
    assert back.read_bytes() == there.read_bytes()


@pytest.mark.verbs("status", "sessions")
def test_status_and_sessions_say_that_it_runs_behind_a_clean_fence(session: Session) -> None:
    facts = session.json("status", session.name)
    assert (facts["state"], facts["fence"]["state"]) == ("running", "clean")
    listed = session.json("sessions")["sessions"]
    mine = next(one for one in listed if one["name"] == session.name)
    assert (mine["state"], mine["wall"], mine["workspace"]) == ("running", "closed", str(session.workspace))


@pytest.mark.verbs("logs")
def test_the_gates_log_tells_when_leave_was_given(session: Session) -> None:
    assert "leave given" in session.place.laptop.paude("logs", session.name).stdout


def test_the_proxy_is_the_only_way_and_refuses_what_is_not_on_the_list(session: Session) -> None:
    assert session.connects("forbidden.test") == "403"
    assert session.inside("getent hosts allowed.test || echo nothing") == "nothing"


@pytest.mark.verbs("verify")
def test_every_probe_of_the_wall_is_closed(session: Session) -> None:
    assert {probe["result"] for probe in session.json("verify", session.name)["probes"]} <= {"closed", "warning"}


@pytest.mark.verbs("allow", "deny", "blocked", "egress show")
def test_a_host_is_allowed_and_denied_while_the_agent_works_and_no_tunnel_outlives_it(session: Session) -> None:
    paude = session.place.laptop.paude
    assert session.connects("allowed.test") == "403"
    refused = {one["host"]: one for one in session.json("blocked", session.name)["refused"]}
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
    assert session.json("egress", "show", session.name)["hosts"] == [OWN]
    eventually(lambda: "403" in session.inside("cat /tmp/calls"))
    assert arrived() == shut
    paude("deny", "allowed.test", session.name, code=2)


@pytest.mark.verbs("blocked")
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


@pytest.mark.verbs("start", "stop")
def test_a_parked_agent_ends_and_a_start_lets_it_work_again(session: Session) -> None:
    # A stop that keeps the workspace, and the start after it: what is on the volume is what the agent finds.
    session.inside("echo kept > /home/paude/kept")
    session.place.laptop.paude("stop", session.name, "--keep-workspace")
    assert session.json("status", session.name)["state"] == "stopped"
    assert session.place.laptop.start(session.workspace) == session.name
    assert session.inside("cat /home/paude/kept /workspace/src/a.py") == "kept\na = 2"


def test_a_second_start_of_a_running_session_changes_nothing(session: Session) -> None:
    session.inside("echo same > /tmp/same")
    session.place.laptop.start(session.workspace)
    assert session.inside("cat /tmp/same") == "same"


@pytest.mark.verbs("stop")
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
