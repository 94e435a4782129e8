"""A session's pod: gate and agent in one network, with the volume between them as on Kubernetes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from podside.images import environment as podman_environment
from podside.images import podman
from podside.owned import mark, remove

DIAL = Path(__file__).with_name("dial.py")
ARBITRARY, FIXED = "1000700000:0", "10001:10001"
_HARD = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges")
_WRITABLE = ("/tmp", "/run/paude", "/var/lib/extrausers")
UID = "0123456789abcdef"


class Pod:
    """Directories, keys and containers of one session. `close` removes all of it."""

    def __init__(self, directory: Path, images: Mapping[str, str], user: str = ARBITRARY) -> None:
        self.directory, self.images, self.user = directory, images, user
        self.name = f"paude-podside-{uuid.uuid4().hex[:8]}"
        self.volume = self._made("vol")
        self.run_gate = self._made("run-gate")
        self.last_words = directory / "termination-log"
        for role in ("gate", "agent"):
            self._keys(role)

    def _made(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir()
        uid, gid = map(int, self.user.split(":"))
        os.chown(path, uid, gid)
        return path

    def _keys(self, role: str) -> None:
        keys = self.directory / f"keys-{role}"
        keys.mkdir()
        for name in ("ssh_host_ed25519_key", "client"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(keys / name)]
            subprocess.run(words, check=True)
        secret = self.directory / f"secret-{role}"
        secret.mkdir()
        shutil.copy(keys / "ssh_host_ed25519_key", secret / "ssh_host_ed25519_key")
        shutil.copy(keys / "client.pub", secret / "authorized_keys")
        gid = int(self.user.split(":")[1])
        for file in secret.iterdir():  # as the kubelet does for a Secret with fsGroup: root's, readable by the group
            os.chown(file, 0, gid)
            file.chmod(0o440)
        host = (keys / "ssh_host_ed25519_key.pub").read_text()
        (keys / "known_hosts").write_text(f"{role} {host}")

    def start_gate(self, **environment: str) -> None:
        """The gate; without PAUDE_FENCE it has no fence."""
        given = {"PAUDE_SESSION": "demo", "PAUDE_SESSION_UID": UID, "PAUDE_AGENT_IMAGE": "registry.test/agent:1"}
        given |= {"PAUDE_FENCE": "off"} | environment
        self.last_words.write_text("")
        self.last_words.chmod(0o666)
        mounts = [
            f"{self.volume}:/vol",
            f"{self.run_gate}:/run/gate",
            f"{self.directory}/secret-gate:/etc/paude/ssh:ro",
        ]
        mounts.append(f"{self.last_words}:/dev/termination-log")
        self._run("gate", "none", mounts, given, ())

    def start_fence(self, **environment: str) -> subprocess.Popen[bytes]:
        """The init container, in the foreground."""
        self.last_words.write_text("")
        self.last_words.chmod(0o666)
        words = ["podman", "run", "--rm", f"--name={self.name}-fence", mark(), *_HARD, f"--user={self.user}"]
        words += [f"--network=container:{self.name}-gate", f"-v={self.run_gate}:/run/gate:ro"]
        words += [f"-v={self.last_words}:/dev/termination-log", *(f"-e={k}={v}" for k, v in environment.items())]
        command = ["/opt/paude/bin/paude-pod", "fence"]
        return subprocess.Popen(
            [*words, self.images["gate"], *command], env=podman_environment(), stderr=subprocess.DEVNULL
        )

    def start_agent(self, *program: str, restart: bool = False, **environment: str) -> None:
        """The agent; with `restart` it is started again whenever it ends, as a kubelet does."""
        secrets = self.directory / "secrets"
        secrets.mkdir(exist_ok=True)
        mounts = [f"{self.volume}/workspace:/workspace", f"{self.volume}/home:/home/paude"]
        mounts += [f"{self.volume}/inbox:/run/inbox:ro", f"{self.run_gate}:/run/gate:ro"]
        mounts += [f"{self.directory}/secret-agent:/etc/paude/ssh:ro", f"{secrets}:/run/secrets/paude:ro"]
        given = {"PAUDE_SESSION": "demo", "HTTPS_PROXY": "http://198.51.100.9:3128"} | environment
        command = ("/opt/paude/bin/paude-pod", "agent", "--", *program)
        flags = ("--restart=always",) if restart else ()
        self._run("agent", f"container:{self.name}-gate", mounts, given, command, flags)

    def _run(
        self,
        role: str,
        network: str,
        mounts: list[str],
        environment: Mapping[str, str],
        command: tuple[str, ...],
        flags: tuple[str, ...] = (),
    ) -> None:
        words = ["run", "-d", f"--name={self.name}-{role}", mark(), *_HARD]
        words += [f"--user={self.user}", f"--network={network}"]
        words += [f"--tmpfs={path}:rw,notmpcopyup,mode=1777" for path in _WRITABLE]
        words += [f"-v={mount}" for mount in mounts] + [f"-e={k}={v}" for k, v in environment.items()]
        podman(*words, *flags, self.images[role], *command)

    def inside(self, role: str, script: str, check: bool = True) -> str:
        """What a shell command in a container prints; it runs as that container's user."""
        return podman("exec", f"{self.name}-{role}", "bash", "-c", script, check=check)

    def process(self, role: str) -> int:
        """PID 1 of a container, as this machine numbers it; 0 when it has ended."""
        return int(podman("inspect", "-f", "{{.State.Pid}}", f"{self.name}-{role}"))

    def logs(self, role: str) -> str:
        """What a container has said; of one that is not there yet, podman's complaint."""
        words = ["podman", "logs", f"{self.name}-{role}"]
        return subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=podman_environment(), check=False
        ).stdout.decode()

    def in_network(self, *words: str) -> list[str]:
        """The command that runs `words` in the pod's network."""
        return ["nsenter", "-t", str(self.process("gate")), "-n", *words]

    def ssh_words(self, role: str, *options: str) -> list[str]:
        """An ssh command line up to the host."""
        keys = self.directory / f"keys-{role}"
        port = {"gate": 2222, "agent": 2223}[role]
        dial = " ".join(self.in_network(sys.executable, "-IS", str(DIAL), str(port)))
        settings = {
            "IdentityFile": keys / "client",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": keys / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "KexAlgorithms": "curve25519-sha256",
            "LogLevel": "ERROR",
            "ProxyUseFdpass": "yes",
            "ProxyCommand": dial,
        }
        words = [f"-o{key}={value}" for key, value in settings.items()]
        return ["ssh", "-F", "/dev/null", *words, *options, f"paude@{role}"]

    def ssh(
        self, role: str, *command: str, stdin: bytes = b"", options: tuple[str, ...] = (), seconds: float = 20
    ) -> subprocess.CompletedProcess[bytes]:
        """A remote command, to its end."""
        words = [*self.ssh_words(role, *options), *command]
        return subprocess.run(words, input=stdin, capture_output=True, timeout=seconds, check=False)

    def control(self, command: str, stdin: bytes = b"") -> bytes:
        """A control command of the gate that has to succeed."""
        done = self.ssh("gate", command, stdin=stdin)
        assert done.returncode == 0, (command, done)
        return done.stdout

    def status(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self.control("status"))
        return known

    def release(self) -> None:
        """All that gives leave where there is no fence."""
        self.control("seeded")
        self.control("release")

    def close(self) -> None:
        """Remove the containers; the directories are the test's."""
        remove([f"{self.name}-{role}" for role in ("fence", "agent", "gate")])


def until(holds: Callable[[], object], seconds: float = 10) -> float:
    """How long it took until `holds()`. Fails when that is longer than `seconds`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - begun


NewPod = Callable[..., Pod]


def ready(pod: Pod, **environment: str) -> Pod:
    """The pod once its gate answers."""
    pod.start_gate(**environment)
    until(lambda: pod.ssh("gate", "status").returncode == 0)
    return pod
