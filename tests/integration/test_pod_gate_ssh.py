"""The gate's ssh: the forced command and nothing else, whatever key and agent try."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from podside.images import environment
from podside.pod import Pod, until

from paude.ssh.ssh_config import SERVER

pytest_plugins = ("podside.fixtures",)
pytestmark = pytest.mark.podman


def _tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


_UNKNOWN = (
    "",
    "sh",
    "id",
    "status; id",
    "$(id)",
    "status x",
    "seed /etc",
    "verify a b",
    "verify $(id)",
    "await-proxy localhost x",
    "await-shut localhost",
    "mutagen-agent version",
    "/bin/sh -c status",
)


def test_nothing_but_the_known_commands(gate: Pod) -> None:
    for command in _UNKNOWN:
        done = gate.ssh("gate", command)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1), command


_LISTEN = "import socket; s = socket.create_connection(('127.0.0.1', 9999), 5); print(s.recv(20))"


def test_no_terminal_no_files_no_forwards(gate: Pod) -> None:
    terminal = gate.ssh("gate", "status", options=("-tt",))
    assert b"PTY allocation request failed" in terminal.stderr
    assert b"subsystem request failed" in gate.ssh("gate", "sftp", options=("-s",)).stderr
    assert gate.ssh("gate", options=("-W", "127.0.0.1:2222")).stdout == b""
    back = gate.ssh("gate", "status", options=("-R", "0:127.0.0.1:1", "-oExitOnForwardFailure=yes"))
    assert back.returncode == 255
    with subprocess.Popen(
        [*gate.ssh_words("gate", "-N", "-L", "9999:127.0.0.1:2222")], stderr=subprocess.PIPE
    ) as child:
        until(lambda: b"b" in subprocess.run([sys.executable, "-c", _LISTEN], capture_output=True, check=False).stdout)
        seen = subprocess.run([sys.executable, "-c", _LISTEN], capture_output=True, check=False).stdout
        child.terminate()
    assert seen.strip() == b"b''"


KEPT = (b"MALLOC_MMAP_THRESHOLD_=16777216", b"MALLOC_TRIM_THRESHOLD_=16777216")


def _keeps_buffers(gate: Pod, role: str) -> bool:
    """Whether the sshds in a container have glibc's thresholds of ours in their environment (mallopt(3)).

    In their heap: over the place where /proc would show it they write what they are at.
    """
    space = os.readlink(f"/proc/{gate.process(role)}/ns/pid")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may just be ending
            if os.readlink(process / "ns/pid") == space and (process / "comm").read_text().startswith("sshd"):
                found.append(_heap(process))
    alive = [heap for heap in found if heap]
    return alive != [] and all(one in heap for heap in alive for one in KEPT)


def _heap(process: Path) -> bytes:
    """Nothing of one that has ended. Raises OSError while it ends."""
    for line in (process / "maps").read_text().splitlines():
        if line.endswith("[heap]"):
            first, end = (int(one, 16) for one in line.split()[0].split("-"))
            with (process / "mem").open("rb") as memory:
                memory.seek(first)
                return memory.read(end - first)
    return b""


@pytest.mark.parametrize("server", ["the gate's", "the gate's by podman", "the agent's"])
def test_sshd_keeps_its_buffers(gate: Pod, server: str) -> None:
    """With glibc's own thresholds it gets them anew for each packet of a bulk transfer."""
    role, port = ("agent", 2223) if server == "the agent's" else ("gate", 2222)
    if role == "agent":
        gate.start_agent("sleep", "1000")
        gate.release()
        gate.control("await-agent")
    words = gate.in_network("bash", "-c", f"exec 3<> /dev/tcp/127.0.0.1/{port}; cat <&3")
    if server == "the gate's by podman":
        words = ["podman", "exec", "--interactive", f"{gate.name}-gate", *SERVER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"SSH-2.0-")
        kept = _keeps_buffers(gate, role)
        child.terminate()
    assert kept


def test_another_key_and_another_name_are_refused(gate: Pod) -> None:
    words = gate.ssh_words("gate")
    stranger = str(gate.directory / "keys-agent/client")
    words = [w if not w.startswith("-oIdentityFile=") else f"-oIdentityFile={stranger}" for w in words]
    assert subprocess.run([*words, "status"], capture_output=True).returncode == 255
    words = [*gate.ssh_words("gate")[:-1], "root@gate", "status"]
    assert subprocess.run(words, capture_output=True).returncode == 255


def test_the_sync_agent_gets_its_own_settings_only(gate: Pod) -> None:
    with subprocess.Popen(
        [*gate.ssh_words("gate"), ".mutagen/agents/0.18.1/mutagen-agent synchronizer --log-level=trace"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.read(3), "the agent's greeting"
        line = gate.inside("gate", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert "/opt/paude/bin/mutagen-agent synchronizer --log-level=info" in line
        assert "trace" not in line
        variables = gate.inside(
            "gate",
            "for p in /proc/[0-9]*; do grep -qs synchronizer $p/cmdline && cat $p/environ; done | tr '\\0' '\\n'",
        )
        assert "MUTAGEN_DATA_DIRECTORY=/vol/gate/mutagen" in variables
        child.terminate()


ONE, TWO = "0123456789abcdef@one", "fedcba9876543210@two"


def test_one_laptop_at_a_time_syncs_and_another_takes_over(gate: Pod) -> None:
    command = ".mutagen/agents/0.18.1/mutagen-agent synchronizer"

    def refused(laptop: str) -> bytes:
        done = gate.ssh("gate", command, options=(f"-oSetEnv=PAUDE_LAPTOP={laptop}",))
        assert done.returncode == 3, done
        return done.stderr

    with subprocess.Popen(
        [*gate.ssh_words("gate", f"-oSetEnv=PAUDE_LAPTOP={ONE}"), command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.read(3), "the agent's greeting"
        assert gate.status()["sync_owner"]["host"] == "one"
        assert b"taken over by one" in refused(TWO)
        assert refused("")
        assert gate.ssh("gate", "take-over two").returncode == 1
        assert child.poll() is None

        gate.control(f"take-over {TWO}")
        child.stdout.read()  # ends when the agent there does
        assert child.wait(10) != 0
    assert b"taken over by two" in refused(ONE)
    owner = gate.status()["sync_owner"]
    assert (owner["laptop"], owner["host"]) == ("fedcba9876543210", "two")
    assert json.loads((gate.volume / "gate/sync-owner").read_text()) == owner


def test_seed_seeded_and_never_again(gate: Pod) -> None:
    stream = _tar(a=b"1", deep__er__b=b"22")
    assert json.loads(gate.control("seed", stream)) == {"files": 2, "bytes": 3}
    assert (gate.volume / "workspace/deep/er/b").read_bytes() == b"22"
    gate.control("seeded")
    assert (gate.volume / "gate/seeded").exists(), "the agent may run before the volume would remember what it holds"
    done = gate.ssh("gate", "seed", stdin=stream)
    assert done.returncode == 3


def test_a_seed_that_broke_off_leaves_nothing_behind(gate: Pod) -> None:
    whole = _tar(gone_since=b"1", big=b"x" * 100_000)
    assert gate.ssh("gate", "seed", stdin=whole[: len(whole) // 2]).returncode == 1
    gate.control("seed", _tar(kept=b"1"))
    assert [p.name for p in (gate.volume / "workspace").iterdir()] == ["kept"]


def test_a_seed_cannot_leave_the_workspace(gate: Pod) -> None:
    done = gate.ssh("gate", "seed", stdin=_tar(**{"..__gate__released": b"1"}))
    assert done.returncode == 1
    assert not (gate.volume / "gate/released").exists()


def test_the_agents_flood_does_not_keep_the_laptop_out(gate: Pod) -> None:
    gate.start_agent("sleep", "1000")
    gate.release()
    gate.control("await-agent")
    script = (
        "ulimit -n 4096; for round in 1 2 3; do for i in {1..1500}; do exec {fd}<>/dev/tcp/127.0.0.1/2222; done; done"
    )
    flood = subprocess.Popen(["podman", "exec", f"{gate.name}-agent", "bash", "-c", script + "; sleep 30"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(5):
            assert gate.ssh("gate", "status", seconds=8).returncode == 0
        # Not one sshd was started for the agent.
        assert int(gate.inside("gate", "grep -als 'sshd' /proc/[0-9]*/cmdline | wc -l")) <= 2
    finally:
        flood.kill()
        flood.wait()


def test_the_agent_is_turned_away_before_sshd_speaks(gate: Pod) -> None:
    gate.start_agent("sleep", "1000")
    gate.release()
    gate.control("await-agent")
    heard = gate.inside("agent", "exec 3<>/dev/tcp/127.0.0.1/2222; timeout 2 head -c 7 <&3; true", check=False)
    assert "SSH" not in heard


def test_tokens_are_for_the_agent_and_not_for_whoever_forwards_a_port(gate: Pod) -> None:
    gate.start_agent("sleep", "1000")
    gate.release()
    gate.control("await-agent")
    ask = "curl -sm 5 http://127.0.0.1:2224/"
    assert gate.inside("agent", ask) == "computeMetadata/", "the control"
    forwarded = subprocess.run(gate.in_network(*ask.split()), capture_output=True, text=True)
    assert (forwarded.returncode != 0, forwarded.stdout) == (True, "")


def test_planted_hooks_and_a_hostile_tmux_get_nothing_from_the_gate(gate: Pod) -> None:
    missing = gate.inside("gate", "command -v git tmux; true")
    assert missing == ""
    git = gate.volume / "workspace/.git"
    (git / "hooks").mkdir(parents=True)
    (git / "config").write_text("[core]\n\tfsmonitor = touch /vol/gate/stolen\n\tsshCommand = touch /vol/gate/stolen\n")
    for hook in ("post-checkout", "pre-commit", "post-index-change", "fsmonitor-watchman", "post-merge"):
        (git / "hooks" / hook).write_text("#!/bin/sh\ntouch /vol/gate/stolen\n")
        (git / "hooks" / hook).chmod(0o755)
    for command in ("status", "seeded", "history", "watch -x", "release", "park x"):
        gate.ssh("gate", command, stdin=b"# v2 git bundle\n\n")
    assert not (gate.volume / "gate/stolen").exists()
