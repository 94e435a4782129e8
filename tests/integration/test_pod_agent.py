"""The agent's container: history, tmux, environment and ssh as the developer meets them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from podside.pod import Pod, until

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman

TMUX = "tmux -S /run/paude/tmux.sock"
_QUIET = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "HOME": "/nonexistent",
    "PATH": "/usr/bin:/bin",
}


def _git(where: Path, *words: str) -> bytes:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.test"]
    done = subprocess.run(["git", *identity, *words], cwd=where, env=_QUIET, capture_output=True, check=True)
    return done.stdout


def _run(pod: Pod, *program: str, **environment: str) -> None:
    pod.start_agent(*program, **environment)
    pod.release()
    pod.control("await-agent")


def _screen(pod: Pod) -> str:
    return pod.inside("agent", f"{TMUX} capture-pane -p -t agent", check=False)


def _bundle(tmp_path: Path) -> bytes:
    work = tmp_path / "work"
    work.mkdir()
    _git(work, "init", "-q", "-b", "feature")
    (work / "file").write_text("one\n")
    _git(work, "add", "file")
    _git(work, "commit", "-q", "-m", "first")
    _git(work, "tag", "v1")
    _git(work, "branch", "other")
    _git(work, "bundle", "create", "-q", "../bundle", "refs/heads/feature", "refs/heads/other", "refs/tags/v1", "HEAD")
    return (tmp_path / "bundle").read_bytes()


def test_history_is_unpacked_before_the_program_starts(gate_of_any_user: Pod, tmp_path: Path) -> None:
    pod = gate_of_any_user
    pod.control("history", _bundle(tmp_path))
    (pod.volume / "workspace/file").write_text("two\n")  # work in progress came by sync
    _run(pod, "bash", "-c", "git status -sb > /tmp/seen; git tag >> /tmp/seen; sleep 1000")
    until(lambda: pod.inside("agent", "cat /tmp/seen", check=False).endswith("v1"))
    assert pod.inside("agent", "cat /tmp/seen") == "## feature\n M file\nv1"
    assert pod.inside("agent", "git -C /workspace branch --format='%(refname)'").split() == [
        "refs/heads/feature",
        "refs/heads/other",
    ]


def test_no_bundle_is_not_taken_for_one(gate: Pod) -> None:
    assert gate.ssh("gate", "history", stdin=b"not a bundle").returncode == 1
    assert not gate.status()["history"]


def test_a_broken_history_does_not_keep_the_program_from_starting(gate: Pod, tmp_path: Path) -> None:
    gate.control("history", _bundle(tmp_path)[:-30])
    _run(gate, "sleep", "1000")
    until(lambda: "sleep 1000" in gate.inside("agent", "ps ax"))
    assert not (gate.volume / "workspace/.git").exists()
    assert "history could not be unpacked" in gate.logs("agent")


def test_the_end_of_the_program_is_shown_and_enter_starts_it_again(gate: Pod) -> None:
    _run(gate, "bash", "-c", "echo begun >> /tmp/runs; exit 7")
    until(lambda: "agent ended (exit 7). Press Enter to start it again, or run `paude stop demo`." in _screen(gate))
    assert json.loads(gate.inside("agent", "cat /run/paude/agent-ended"))["code"] == 7
    gate.inside("agent", f"{TMUX} send-keys -t agent Enter")
    until(lambda: gate.inside("agent", "wc -l < /tmp/runs") == "2")


def test_ctrl_c_reaches_the_program_and_not_its_keeper(gate: Pod) -> None:
    _run(gate, "bash", "-c", "trap 'echo caught' INT; while :; do sleep 0.1; done")
    until(lambda: "pane" in gate.inside("agent", "ps ax"))
    until(
        lambda: gate.inside("agent", f"{TMUX} send-keys -t agent C-c", check=False) == "" and "caught" in _screen(gate)
    )
    assert "agent ended" not in _screen(gate)


def test_tmux_is_started_again_when_it_dies(gate: Pod) -> None:
    _run(gate, "sleep", "1000")
    until(lambda: "sleep 1000" in gate.inside("agent", "ps ax"))
    for blow in (f"{TMUX} kill-server", "pkill -KILL tmux", f"{TMUX} kill-session -t agent"):
        before = gate.inside("agent", f"{TMUX} display-message -p -t agent '#{{pane_pid}}'")
        gate.inside("agent", blow)
        until(
            lambda b=before: (
                gate.inside("agent", f"{TMUX} display-message -p -t agent '#{{pane_pid}}'", check=False) not in ("", b)
            )
        )


def test_credentials_reach_the_program_and_not_other_logins(gate: Pod) -> None:
    secrets = gate.directory / "secrets"
    secrets.mkdir()
    (secrets / "env.API_KEY").write_text("canary-1\n")
    (secrets / "gitconfig").write_text("[user]\n\tname = Ada\n")
    _run(gate, "bash", "-c", "env > /tmp/env; sleep 1000")
    until(lambda: gate.inside("agent", "cat /tmp/env", check=False))
    seen = gate.inside("agent", "cat /tmp/env").splitlines()
    assert "API_KEY=canary-1" in seen
    assert not [one for one in seen if one.startswith("GOOGLE_")], "a login at Google is the gate's, never the agent's"
    assert "TERM=tmux-256color" in seen
    login = gate.ssh("agent", "env; git config user.name").stdout.decode().splitlines()
    assert "API_KEY=canary-1" not in login
    assert {"HTTPS_PROXY=http://198.51.100.9:3128", "LANG=C.UTF-8", "Ada"} <= set(login)


def test_ssh_gives_shell_terminal_files_and_local_forwards_only(gate: Pod, tmp_path: Path) -> None:
    _run(gate, "sleep", "1000")
    assert gate.ssh("agent", "exit 42").returncode == 42
    assert b"/dev/pts/" in gate.ssh("agent", "tty", options=("-tt",)).stdout
    sftp = [w for w in gate.ssh_words("agent")[1:] if w != "paude@agent"]
    (tmp_path / "batch").write_text("put /etc/hostname /tmp/copied\n")
    words = ["sftp", *sftp, "-b", str(tmp_path / "batch"), "paude@agent"]
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert gate.ssh("agent", options=("-W", "127.0.0.1:2223")).stdout.startswith(b"SSH-2.0")
    assert gate.ssh("agent", options=("-W", "10.0.0.1:443")).returncode != 0
    assert gate.ssh("agent", "true", options=("-R", "0:127.0.0.1:1", "-oExitOnForwardFailure=yes")).returncode != 0


def test_orphans_leave_no_zombies(gate: Pod) -> None:
    _run(gate, "sleep", "1000")
    gate.inside("agent", "for i in {1..20}; do (sleep 0.1 &) ; done; sleep 0.4")
    assert "defunct" not in gate.inside("agent", "ps ax")


def test_the_projects_setup_runs_once_before_the_program_and_is_seen(gate: Pod) -> None:
    secrets = gate.directory / "secrets"
    secrets.mkdir(mode=0o755)
    (secrets / "setup.sh").write_text("set -e\necho 'made ready' | tee -a made\n")
    _run(gate, "bash", "-c", "cat made > seen; sleep 1000")
    until(lambda: gate.inside("agent", "cat seen", check=False) == "made ready")
    assert "made ready" in _screen(gate)

    gate.inside("agent", f"rm seen; {TMUX} kill-server")

    until(lambda: gate.inside("agent", "cat seen", check=False) != "")
    assert gate.inside("agent", "cat seen") == "made ready", "once, although the program was started again"
