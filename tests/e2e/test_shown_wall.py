"""A hostile agent: what it tries against the gate, the developer and the network, and that it gets nothing."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.cluster import TMUX, in_container, until_tmux_answers
from peers.terminal import attached
from peers.waiting import eventually

from laptop import Admin, Laptop
from world import zone
from world.client import World

pytestmark = pytest.mark.cluster

ALLOWED, OTHER = "allowed.test", "forbidden.test"
PARKED_WITHIN_S = 3.0
FLOOD = """
echo $$ > /tmp/flood.pid
flood() {
  for i in $(seq 500); do exec {fd}<>/dev/tcp/127.0.0.1/2222 && head -c 3 <&$fd; done 2>&1
}
for round in 1 2 3; do flood; done > /tmp/flood.log
echo done >> /tmp/flood.log
"""


@dataclass(frozen=True)
class Session:
    """The session that is attacked from inside."""

    laptop: Laptop
    name: str
    workspace: Path

    def inside(self, command: str, code: int | None = 0) -> str:
        return self.laptop.inside(self.name, command, code)

    def gate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command to the gate, as paude itself sends it."""
        config = self.laptop.state / "paude" / "ssh_config"
        argv = ["ssh", "-F", str(config), f"gate.{self.name}.paude", *words]
        return subprocess.run(argv, env=self.laptop.env, capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    workspace = shared_laptop.workspace("prey")
    name = shared_laptop.start(workspace, "--allow", ALLOWED)
    return Session(shared_laptop, name, workspace)


@pytest.fixture(scope="module")
def world() -> World:
    """The fake internet; it has to be up: that is a failure here, never a skip."""
    found = World()
    found.seen()
    return found


# --- against the gate and the developer


async def test_a_tmux_server_commands_its_clients_and_nobody_outside(session: Session, kubectl: Admin) -> None:
    token = f"trap-{secrets.token_hex(6)}"
    trap = f"touch /tmp/{token}; ls -d /vol /opt/paude/bin/mutagen-agent >> /tmp/{token} 2>&1; sleep 0.2"
    session.inside(
        f"{TMUX} set-hook -g client-attached \"detach-client -E '{trap}'\";"
        f"{TMUX} set-hook -g after-list-clients \"run-shell '{trap}'\";"
        f"{TMUX} set-hook -g after-display-message \"run-shell '{trap}'\""
    )
    try:
        # Everything that the laptop does with a session, beginning with its terminal.
        # Whoever comes is thrown out at once, perhaps before tmux has drawn a prompt; this is shown in any case.
        async with attached(session.laptop, session.name, shows=b"detached; the agent goes on") as thrown_out:
            assert await thrown_out.ends() == 0
        assert token in session.inside("ls /tmp"), "the trap, in the agent's own container"
        session.laptop.paude("status", session.name)
        session.laptop.paude("sessions")
        (session.workspace / "trapped.txt").write_text("x")
        eventually(lambda: session.inside("cat trapped.txt", None) == "x", what="the sync")
    finally:
        hooks = "client-attached after-list-clients after-display-message"
        session.inside(f"for hook in {hooks}; do {TMUX} set-hook -gu $hook; done")
    assert "No such file or directory" in session.inside(f"cat /tmp/{token}")
    assert in_container(kubectl, session.name, "gate", "ls", "-d", "/vol").strip() == "/vol"
    assert in_container(kubectl, session.name, "gate", "ls", f"/tmp/{token}") == ""
    assert token not in os.listdir("/tmp")


def test_git_hooks_of_the_workspace_are_run_by_nobody_outside(session: Session, kubectl: Admin) -> None:
    token = f"hook-{secrets.token_hex(6)}"
    session.inside(
        "git init -q -b main . && git config user.name a && git config user.email a@a;"
        f"printf '#!/bin/sh\\ntouch /tmp/{token}\\n' > /tmp/hook; chmod +x /tmp/hook;"
        "for hook in pre-commit post-checkout post-merge post-index-change reference-transaction pre-auto-gc"
        " upload-pack post-update fsmonitor-watchman; do cp /tmp/hook .git/hooks/$hook; done;"
        "git config core.fsmonitor .git/hooks/fsmonitor-watchman; git config uploadpack.packObjectsHook /tmp/hook;"
        "git config core.sshCommand /tmp/hook; git config core.pager /tmp/hook"
    )
    assert in_container(kubectl, session.name, "gate", "ls", "/vol/workspace/.git/hooks/pre-commit") != ""
    (session.workspace / "hooked.txt").write_text("x")
    eventually(lambda: session.inside("cat hooked.txt", None) == "x", what="the sync")
    session.laptop.paude("status", session.name)
    assert token not in session.inside("ls /tmp")  # sync and status have run no git at all, not even there
    session.inside("git add hooked.txt && git commit -qm planted; true")
    assert token in session.inside("ls /tmp"), "the control: the hooks do work"
    assert in_container(kubectl, session.name, "gate", "ls", f"/tmp/{token}") == ""
    assert not Path(f"/tmp/{token}").exists()
    assert not (session.workspace / ".git").exists()


def test_the_agent_cannot_give_itself_leave_nor_take_it(session: Session) -> None:
    assert "leave" in session.inside("ls /run/gate")
    remount = "mount -o remount,rw /run/gate"
    for attack in ("touch /run/gate/x", "rm -f /run/gate/leave", "mv /run/gate/leave /tmp/", remount):
        assert "worked" not in session.inside(f"{attack} 2>&1 && echo worked; true"), attack
    assert "worked" in session.inside("touch /tmp/x && echo worked"), "the control"
    assert "leave" in session.inside("ls /run/gate")


def test_the_agent_finds_neither_the_gates_keys_nor_its_part_of_the_volume(session: Session, kubectl: Admin) -> None:
    secret = json.loads(kubectl("get", "secret", f"paude-{session.name}-gate", "-o", "json"))["data"]
    key = base64.b64decode(secret["ssh_host_ed25519_key"]).decode().splitlines()[2]
    assert key in in_container(kubectl, session.name, "gate", "cat", "/etc/paude/ssh/ssh_host_ed25519_key")
    places = "/etc /run /var /home /opt /workspace /tmp /mnt /srv"
    search = f"grep -rIl --devices=skip -F '{key}' {places} 2>/dev/null; true"
    assert session.inside(search) == ""
    found = session.inside(f"printf %s '{key}' > /tmp/key; {search}")
    assert found == "/tmp/key\n", "the control: the search finds it where it is"
    assert session.inside("rm /tmp/key; ls -d /vol 2>&1; true").startswith("ls: cannot access")
    assert session.inside("find / -xdev -name mutagen-agent 2>/dev/null; true") == ""
    assert session.inside("ls /var/run/secrets/kubernetes.io 2>&1; true").startswith("ls: cannot access")
    # Neither is the gate among the processes that it could trace.
    assert "paude-pod gate" not in session.inside("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")


def test_a_flood_of_connections_to_the_gate_gets_nothing_and_the_laptop_still_works(session: Session) -> None:
    banner = "exec 3<>/dev/tcp/127.0.0.1/{port}; timeout 2 head -c 3 <&3; true"
    assert session.inside(banner.format(port=2223)) == "SSH", "the control: a banner is seen where it is given"
    assert session.inside(banner.format(port=2222) + " 2>/dev/null") == ""
    session.inside(f"cat > /tmp/flood.sh << 'END'\n{FLOOD}END\nsetsid bash /tmp/flood.sh > /dev/null 2>&1 &")
    try:
        for number in range(3):
            assert "state:      running\n" in session.laptop.paude("status", session.name, timeout=15).stdout
            (session.workspace / f"flood-{number}.txt").write_text("x")
        eventually(lambda: session.inside("cat flood-2.txt", None) == "x", 15, "the sync during a flood")
        eventually(lambda: "done" in session.inside("cat /tmp/flood.log", None), 60, "the end of the flood")
        assert "SSH" not in session.inside("cat /tmp/flood.log")
    finally:
        session.inside("kill $(cat /tmp/flood.pid) 2>/dev/null; rm -f /tmp/flood.sh; true")


# --- the network


def test_the_agent_has_no_dns_and_asks_nobody(session: Session, world: World) -> None:
    name = f"leak-{secrets.token_hex(6)}.test"
    for attack in (
        f"getent hosts {name}",
        f"timeout 3 bash -c 'exec 3<>/dev/tcp/{name}/443'",
        f"curl -sS -m 5 --noproxy '*' https://{name}/",
        f"printf 'x' | timeout 3 bash -c 'cat > /dev/udp/{zone.RESOLVER}/53'",
    ):
        session.inside(f"{attack} > /dev/null 2>&1 && echo came through; true")
    assert session.inside(f"getent hosts {ALLOWED}; true") == ""
    assert world.queries(name) == []


def test_the_agent_reaches_nothing_by_tcp(session: Session, world: World) -> None:
    targets = [(zone.LITERAL, 443), (zone.LITERAL, 8443), (zone.ALLOWED, 443), (zone.RESOLVER, 53)]
    targets += [("10.96.0.1", 443), ("10.96.0.10", 53), ("10.77.0.1", 6443)]
    own = session.inside("hostname -I").split()
    attacks = (f"(timeout 2 bash -c 'exec 3<>/dev/tcp/{h}/{p}' 2>/dev/null && echo {h}:{p} open) &" for h, p in targets)
    with world.watching() as seen:
        assert session.inside(" ".join(attacks) + " wait; true") == ""
        socket.create_connection((zone.LITERAL, 8443), 5).close()  # the control: who may, is counted
    assert seen.hits(zone.LITERAL, 8443) == 1
    assert seen.hits(zone.LITERAL, 443) == 0
    assert len(own) == 2, "one a family"
    assert not [key for key in world.seen().opened if key.split()[3] in own]


def test_the_proxy_refuses_what_is_not_listed_without_asking_for_it(session: Session, world: World) -> None:
    name = f"unlisted-{secrets.token_hex(6)}.test"
    curl = "curl -sS -m 10 -o /dev/null -w '%{{http_connect}}' https://{host}/ 2>/dev/null; true"
    with world.watching() as seen:
        assert session.inside(curl.format(host=name)) == "403"
        assert session.inside(curl.format(host=OTHER)) == "403"
    assert [q for q in seen.questions if q["name"] in (name, OTHER)] == []
    assert seen.hits(OTHER) == 0


def test_the_proxy_lets_a_listed_host_through(session: Session, world: World) -> None:
    session.laptop.paude("cp", str(world.ca_path), f"{session.name}:/tmp/world.crt")
    with world.watching() as seen:
        said = session.inside(f"curl -sS -m 10 --cacert /tmp/world.crt https://{ALLOWED}/x")
    assert said == f"hello from {ALLOWED}\n"
    assert [one["path"] for one in seen.asked(ALLOWED)] == ["/x"]
    assert seen.queries(ALLOWED) != [], "the control of the tests above: who asks is seen"


# --- leave; last in this module: the agent is parked


def assert_attach_and_exec_say_why(session: Session) -> None:
    argv = ["script", "-qec", f"{sys.executable} -m paude attach {session.name}", "/dev/null"]
    done = subprocess.run(
        argv, env=session.laptop.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 10, done.stdout
    assert f"the agent of {session.name} is parked" in done.stdout
    refused = session.laptop.paude("exec", session.name, "--no-tty", "--", "true", code=255)
    assert f"paude: the agent of {session.name} is parked: test" in refused.stderr


def test_without_leave_the_agent_is_gone_within_three_seconds(session: Session, kubectl: Admin) -> None:
    before = until_tmux_answers(kubectl, session.name)
    config = str(session.laptop.state / "paude" / "ssh_config")
    argv = ["ssh", "-F", config, f"{session.name}.paude", "echo on; sleep 100"]
    with subprocess.Popen(argv, env=session.laptop.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"on\n"
        began = time.monotonic()
        assert session.gate("park", "test").returncode == 0
        inside.wait(PARKED_WITHIN_S + 20)  # its connection ends with the agent's sshd
        took = time.monotonic() - began
    print(f"parked after {took:.2f} s")  # noqa: T201
    assert took < PARKED_WITHIN_S
    status = session.laptop.paude("status", session.name).stdout
    assert "parked" in status
    assert "test" in status
    assert in_container(kubectl, session.name, "agent", *TMUX.split(), "has-session") == ""
    assert_attach_and_exec_say_why(session)

    assert session.laptop.start(session.workspace, "--allow", ALLOWED) == session.name
    assert until_tmux_answers(kubectl, session.name) != before
    assert "running" in session.laptop.paude("status", session.name).stdout
