"""The verbs beside the main job, on every backend; and that no verb is without a test there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import pytest
import test_backends
import yaml

from laptop import Laptop
from places import Place, Session, every_verb, start_session
from terminal_user import User
from waiting import eventually

BY_ITSELF = {"supervisor run"}
"""What no user types: every session has one that a start has run."""


@pytest.fixture(scope="module")
def session(place: Place) -> Session:
    return start_session(place)


def test_every_verb_is_run_on_both_backends() -> None:
    tests = [one for module in (test_backends.__dict__, globals()) for one in module.values()]
    marks = [mark for one in tests for mark in getattr(one, "pytestmark", ()) if mark.name == "verbs"]
    assert {verb for mark in marks for verb in mark.args} == every_verb() - BY_ITSELF


# --- the terminal, and what else reaches the agent


@pytest.mark.verbs("attach")
async def test_attach_opens_the_agents_terminal_and_two_keys_leave_it(session: Session) -> None:
    user = User()
    with session.place.laptop.popen("attach", session.name, terminal=user.slave) as attach:
        await user.sees(b":/workspace", 60)
        user.type(b"echo typed from $((40 + 2)) km\r")
        await user.sees(b"typed from 42 km")
        user.type(b"\r~.")
        with anyio.fail_after(20):
            assert await anyio.to_thread.run_sync(attach.wait) == 0
        assert attach.stderr is not None
        assert "the agent goes on" in attach.stderr.read()
    assert user.restored
    user.close()


@pytest.mark.verbs("forward")
def test_a_port_of_the_agents_is_one_of_this_machines(session: Session) -> None:
    with session.place.laptop.popen("forward", session.name, "0:2223") as forward:
        assert forward.stderr is not None
        here = urlsplit(forward.stderr.readline().split()[0])
        with socket.create_connection((here.hostname, here.port), timeout=20) as client:
            assert client.recv(4) == b"SSH-"
        forward.send_signal(signal.SIGINT)
        assert forward.wait(20) == 0


@pytest.mark.verbs("ssh-config")
def test_plain_ssh_knows_the_session_by_the_printed_line(session: Session) -> None:
    laptop = session.place.laptop
    config = laptop.home / "ssh_config"
    config.write_text(laptop.paude("ssh-config").stdout)
    words = ["ssh", "-F", str(config), f"{session.name}.paude", "cat /workspace/README"]
    env = {key: laptop.env[key] for key in ("PATH", "HOME")}
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


@pytest.mark.verbs("agent status", "agent wait")
def test_what_the_agent_tells_is_shown_and_waited_for(session: Session) -> None:
    assert session.json("agent", "status", session.name)["doing"] == "unknown", "a shell does not tell"
    with taken_for(session, "claude"):
        session.inside("echo 'waiting may I?' > /run/paude/n && mv /run/paude/n /run/paude/agent-state")
        assert session.json("agent", "status", session.name)["doing"] == "waiting"
        assert "may I?" in session.place.laptop.paude("agent", "wait", session.name, timeout=60).stdout
    session.inside("rm /run/paude/agent-state")


@pytest.mark.verbs("credentials refresh")
def test_a_session_is_given_what_this_machine_has_now_and_a_shell_nothing(session: Session) -> None:
    laptop, key = session.place.laptop, "sk-ant-api03-" + "c4n4ry" * 8
    with taken_for(session, "claude"):
        done = laptop.paude("credentials", "refresh", session.name, "--yes", ANTHROPIC_API_KEY=key)
        assert "has them" in done.stderr
        assert key not in done.stderr + done.stdout
    assert "no credentials" in laptop.paude("credentials", "refresh", session.name, code=4).stderr


@contextmanager
def taken_for(session: Session, agent: str) -> Iterator[None]:
    """The record says that another agent runs; the real ones take a minute to build."""
    record = session.place.laptop.state / "paude/sessions" / session.name / "record.json"
    before = record.read_text()
    record.write_text(before.replace('"shell"', json.dumps(agent)))
    try:
        yield
    finally:
        record.write_text(before)


# --- the sync


@pytest.mark.verbs(
    "sync pause", "sync resume", "sync conflicts", "sync diff", "sync resolve", "sync verify", "sync status"
)
def test_a_conflict_is_seen_and_ended_and_no_version_is_lost(session: Session) -> None:
    paude, workspace = session.place.laptop.paude, session.workspace
    paude("sync", "pause", session.name)
    (workspace / "both").write_text("laptop\n")
    session.inside("echo agent > both; echo more > other")
    differ = {one["path"] for one in session.json("sync", "verify", session.name, code=1)["differences"]}
    assert differ == {"both", "other"}
    paude("sync", "resume", session.name)
    assert [one["path"] for one in session.json("sync", "conflicts", session.name, code=9)["conflicts"]] == ["both"]
    shown = paude("sync", "diff", "both", "--session", session.name).stdout
    assert "-laptop" in shown
    assert "+agent" in shown
    ended = paude("sync", "resolve", "both", "--keep", "agent", "--session", session.name).stderr
    assert (workspace / "both").read_text() == "agent\n"
    kept = next(line for line in ended.splitlines() if line.startswith("the other version: ")).partition(": ")[2]
    assert Path(kept).read_text() == "laptop\n"
    assert session.json("sync", "status", session.name)["healthy"]
    assert session.json("sync", "verify", session.name)["differences"] == []


@pytest.mark.verbs("sync flush", "sync reset")
def test_what_one_side_deleted_comes_back_when_the_sync_begins_anew(session: Session) -> None:
    paude = session.place.laptop.paude
    session.inside("echo here > gone")
    assert session.json("sync", "flush", session.name)["healthy"]
    paude("sync", "pause", session.name)
    (session.workspace / "gone").unlink()
    paude("sync", "reset", session.name, "--yes")
    assert (session.workspace / "gone").read_text() == "here\n"


@pytest.mark.verbs("sync include")
def test_a_path_that_stays_at_home_travels_by_command(session: Session) -> None:
    (session.workspace / ".tox").mkdir()
    (session.workspace / ".tox/made").write_text("here\n")
    session.json("sync", "flush", session.name)
    assert session.inside("ls -A .tox 2>&1 || true") == "ls: cannot access '.tox': No such file or directory"
    session.place.laptop.paude("sync", "include", ".tox", "--session", session.name)
    assert session.inside("cat .tox/made") == "here"


@pytest.mark.verbs("review")
def test_what_this_machine_would_obey_comes_over_only_by_hand(session: Session) -> None:
    session.inside("echo 'use flake' > .envrc")
    assert [one["path"] for one in session.json("review", session.name)["held"]] == [".envrc"]
    assert not (session.workspace / ".envrc").exists()
    session.place.laptop.paude("review", session.name, "--accept", ".envrc")
    assert (session.workspace / ".envrc").read_text() == "use flake\n"


# --- this machine


@pytest.mark.verbs("cleanup")
def test_cleanup_ends_what_a_killed_start_left_and_spares_what_works(session: Session) -> None:
    laptop, name = session.place.laptop, "contract-killed"
    assert session.json("cleanup", "--dry-run")["stale"] == []
    words = ("--agent", "shell", "--detach", "--name", name, "--progress", "plain")
    with laptop.popen("start", str(laptop.workspace("killed")), *words) as start:
        assert start.stderr is not None
        assert any("create pod: started" in line or "run gate: started" in line for line in start.stderr)
        os.killpg(start.pid, signal.SIGKILL)
    assert [one["name"] for one in session.json("cleanup", "--dry-run")["stale"]] == [name]
    laptop.paude("cleanup")
    assert session.place.things(name) == set()
    assert [one["name"] for one in laptop.records().values()] == [session.name]


@pytest.mark.verbs("start", "stop")
def test_cleanup_ends_what_a_lost_laptop_left_when_it_is_asked_for_by_its_owners_name(place: Place) -> None:
    lost, owner = place.laptop, f"owner-{uuid.uuid4().hex[:8]}"
    workspace = lost.workspace("lost")
    name = lost.start(workspace, LOGNAME=owner)
    lost.inside(name, "echo here alone > work")
    other = Laptop(lost.home / "other", lost.home / "other/.s", lost.env | own_home(lost.home / "other"))

    def listed(*words: str) -> list[str]:
        found = other.paude("cleanup", "--elsewhere", "--dry-run", "-o", "name", "--older-than", "1s", *words)
        return found.stdout.split()

    assert name not in listed(), "somebody else's"
    assert listed("--owner", owner) == [name]
    other.paude("cleanup", "--elsewhere", "--owner", owner)  # it is neither parked nor was an age named
    assert lost.inside(name, "cat work") == "here alone\n"

    other.paude("cleanup", "--elsewhere", "--owner", owner, "--older-than", "1s")
    row = next(one for one in session_rows(lost) if one["name"] == name)
    assert row["state"] == "stopped"
    assert listed("--owner", owner) == []
    lost.start(workspace, LOGNAME=owner)  # its laptop was found again
    assert lost.inside(name, "cat work") == "here alone\n"
    lost.paude("stop", name, "--discard")
    assert place.things(name) == set()


def own_home(home: Path) -> dict[str, str]:
    """The environment of another machine of the same kind."""
    found = {"HOME": str(home), "XDG_STATE_HOME": str(home / ".s"), "XDG_RUNTIME_DIR": str(home / ".r")}
    for directory in (home, home / ".s", home / ".r"):
        directory.mkdir(mode=0o700)
    return found


def session_rows(laptop: Laptop) -> list[dict[str, Any]]:
    """What `paude sessions` lists."""
    rows: list[dict[str, Any]] = json.loads(laptop.paude("sessions", "-o", "json").stdout)["sessions"]
    return rows


@pytest.mark.verbs("prune")
def test_prune_spares_the_images_that_a_start_would_use(session: Session) -> None:
    # Only told: the images of this machine are not this test's alone.
    stale = {one["name"] for one in session.json("prune", "--dry-run")["images"]}
    every = {one["name"] for one in session.json("prune", "--dry-run", "--all")["images"]}
    roles = {name.rpartition(":")[0] for name in every - stale}
    assert roles >= {"localhost/paude-agent", "localhost/paude-gate", "localhost/paude-proxy"}


@pytest.mark.verbs("doctor")
def test_doctor_finds_in_order_what_a_session_was_just_made_with(session: Session) -> None:
    checks = {one["name"]: one for one in session.json("doctor")["checks"]}
    place = "podman" if session.place.laptop.env["PAUDE_BACKEND"] == "podman" else "cluster"
    assert checks[place]["result"] == "ok"
    assert not [one for one in checks.values() if one["result"] == "failed"]


@pytest.mark.verbs("setup", "config show", "config path", "config schema")
def test_setup_writes_settings_that_config_shows(session: Session, tmp_path: Path) -> None:
    laptop = session.place.laptop
    own = {"XDG_CONFIG_HOME": str(tmp_path), "PAUDE_BACKEND": ""}
    backend = laptop.env["PAUDE_BACKEND"]
    laptop.paude("setup", "--yes", "--backend", backend, **own)
    settings = Path(laptop.paude("config", "path", **own).stdout.strip())
    assert settings.is_relative_to(tmp_path)
    assert json.loads(settings.read_text())["backend"] == backend
    shown = json.loads(laptop.paude("config", "show", "-o", "json", **own).stdout)["settings"]
    assert str(backend) in json.dumps(shown)
    assert "backend" in json.loads(laptop.paude("config", "schema", **own).stdout)["properties"]


@pytest.mark.verbs("completion")
def test_completion_knows_the_session(session: Session) -> None:
    laptop = session.place.laptop
    script = laptop.home / "completion"
    script.write_text(laptop.paude("completion", "bash").stdout)
    assert "_PAUDE_COMPLETE" in script.read_text()
    words = {"_PAUDE_COMPLETE": "complete_bash", "COMP_WORDS": "paude attach ", "COMP_CWORD": "2"}
    done = subprocess.run(
        laptop.program, env={**laptop.env, **words}, capture_output=True, text=True, timeout=60, check=False
    )
    assert session.name in done.stdout.split()


@pytest.mark.verbs("supervisor status", "supervisor stop", "supervisor restart")
def test_the_supervisor_comes_and_goes_and_the_session_stays(session: Session) -> None:
    paude, processes = session.place.laptop.paude, session.place.laptop.processes
    first = session.json("supervisor", "status")
    assert first["running"]
    assert session.name in first["sessions"]
    paude("supervisor", "restart")
    assert session.json("supervisor", "status")["pid"] != first["pid"]
    assert any("paude-sync" in words for words in processes())
    paude("supervisor", "stop")
    assert not any("paude-sync" in words for words in processes()), "the sync has ended with it"
    eventually(lambda: not processes(), 20, "the end of every process")
    assert not session.json("supervisor", "status")["running"]
    assert session.inside("cat README") == "hello", "the next verb has another"
    (session.workspace / "README").write_text("again\n")
    eventually(lambda: session.inside("cat README") == "again", 60)


@pytest.mark.verbs("bench start")
def test_a_start_is_measured_and_leaves_nothing(place: Place) -> None:
    before = place.things("paude-bench-")
    words = ("bench", "start", str(place.laptop.workspace("measured")), "--runs", "1", "--no-baseline", "-o", "yaml")
    found = yaml.safe_load(place.laptop.paude(*words).stdout)
    assert len(found["concurrent"]["makespans_s"]) == 1
    assert {name: one["count"] for name, one in found["attach_s"].items()} == {"first": 1, "cold": 1, "hot": 3}
    assert place.things("paude-bench-") <= before


@pytest.mark.slow
@pytest.mark.verbs("bench sync")
def test_the_sync_is_measured(place: Place) -> None:
    found = json.loads(place.laptop.paude("bench", "sync", "--files", "100", "--edits", "1", "-o", "json").stdout)
    assert all(one["count"] == 1 and one["p99"] > 0 for one in found["latencies"].values())


@pytest.mark.slow
@pytest.mark.verbs("bench tunnel", "bench attach")
def test_a_bad_network_is_measured_where_one_lies_between(place: Place) -> None:
    paude = place.laptop.paude
    tunnel = ("bench", "tunnel", "--mib", "4", "--rounds", "1", "--exact", "4", "--full", "2", "-o", "json")
    attach = ("--cuts", "1", "--outages", "1", "--outage", "2", "--sleeps", "1", "--full", "2", "--bulk", "4")
    if place.laptop.env["PAUDE_BACKEND"] == "podman":
        assert "there is no network between to be measured" in paude(*tunnel, code=2).stderr
        assert "there is no network between to be measured" in paude("bench", "attach", *attach, code=2).stderr
        return
    assert json.loads(paude(*tunnel).stdout)["exact"] is True
    assert json.loads(paude("bench", "attach", *attach, "-o", "json").stdout)["keys_lost"] == 0


# --- last: it ends the session


@pytest.mark.verbs("stop")
def test_a_stop_leaves_nothing_of_all_that(session: Session) -> None:
    assert session.place.things(session.name)
    session.place.laptop.paude("stop", session.name, "--discard")
    assert session.place.things(session.name) == set()
