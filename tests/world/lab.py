"""A network namespace whose only routes lead into the fake internet, and a proxy in it: whatever leaks, leaks there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from world import zone

ROOT = Path(__file__).resolve().parents[2]
BASE = os.environ.get("PAUDE_TEST_BASE_IMAGE", "localhost/paude-base:bookworm")
PROGRAM = ROOT / "src/paude/_artifacts/bin/linux_amd64/paude-pod"
OUTER, CANARY = 3128, 3129
# What a company may run: squid as it comes, open to everybody inside, and with a cache of its own to look names up.
PARENT = {
    "squid.conf": "\n".join(
        (
            "http_port 3128",
            "http_access allow all",
            "access_log stdio:/dev/stdout",
            "cache_log /dev/stderr",
            "cache deny all",
            "pid_filename none",
            "coredump_dir none",
            "visible_hostname parent",
            "shutdown_lifetime 0 seconds",
        )
    )
    + "\n",
    "allowlist": "# 000000000000\n",
}
WAIT_S = 20.0
SETTLE_S = 0.15
FILES = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
"""What a proxy may open: less than a cluster's nodes give, and as much as most test machines can."""
_turns = count()


def run(*argv: str | Path, check: bool = True) -> str:
    """The output of a command; raises AssertionError, with what it said, when it fails."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Lab:
    """The namespace: its name, and the addresses at which the host reaches what listens in it."""

    name: str
    address: str
    address6: str
    directory: Path

    def forget_the_internet(self) -> None:
        """Takes away every route but that to its own gateway."""
        for network in (*zone.NETS, *zone.NETS6):
            run("ip", "-n", self.name, "route", "delete", network)

    def may_reach(self, address: str) -> None:
        """Lets it send to one more address of this machine."""
        gateway = json.loads(run("ip", "-j", "-n", self.name, "addr", "show", "lab0"))[0]["addr_info"][0]["address"]
        run("ip", "-n", self.name, "route", "add", address, "via", gateway)


@contextmanager
def lab() -> Iterator[Lab]:
    """A fresh namespace; nothing of it is left."""
    number, turn = os.getpid() % 100_000, next(_turns)
    name, device = f"paude-lab-{number}-{turn}", f"pl{number}x{turn}"
    host, inside = (f"10.97.{64 + number % 128}.{turn % 120 * 2 + end}" for end in (1, 2))
    host6, inside6 = (f"fd97:64:{number & 0xFFFF:x}:{turn + 1:x}::{end}" for end in (1, 2))
    with tempfile.TemporaryDirectory(prefix="paude-lab-") as directory, contextlib.ExitStack() as undo:
        run("ip", "netns", "add", name)
        undo.callback(run, "ip", "netns", "delete", name)
        run("ip", "link", "add", device, "type", "veth", "peer", "name", "lab0", "netns", name)
        undo.callback(run, "ip", "link", "delete", device, check=False)
        run("ip", "addr", "add", f"{host}/32", "peer", f"{inside}/32", "dev", device)
        run("ip", "link", "set", device, "up")
        here = ("ip", "-n", name)
        run(*here, "link", "set", "lo", "up")
        run(*here, "addr", "add", f"{inside}/32", "peer", f"{host}/32", "dev", "lab0")
        run(*here, "link", "set", "lab0", "up")
        if zone.HAS_IPV6:
            run("ip", "addr", "add", f"{host6}/64", "dev", device, "nodad")
            run(*here, "addr", "add", f"{inside6}/64", "dev", "lab0", "nodad")
        for network in zone.NETS:
            run(*here, "route", "add", network, "via", host)
        for network in zone.NETS6:
            run(*here, "route", "add", network, "via", host6)
        yield Lab(name, inside, inside6, Path(directory))


def image() -> str:
    """The proxy's image, built from this checkout unless one with the same content is there."""
    source = ROOT / "containers/proxy"
    parts = [*sorted(path for path in source.rglob("*") if path.is_file()), PROGRAM]
    content = hashlib.sha256(b"".join(part.name.encode() + part.read_bytes() for part in parts)).hexdigest()[:12]
    tag = f"localhost/paude-test-proxy:{content}"
    if subprocess.run(["podman", "image", "exists", tag], stdin=subprocess.DEVNULL).returncode:
        with tempfile.TemporaryDirectory() as context:
            shutil.copytree(source, context, dirs_exist_ok=True)
            shutil.copy(PROGRAM, context)
            run("podman", "build", "-q", "--network=host", f"--build-arg=BASE={BASE}", "-t", tag, context)
    return tag


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    lab: Lab
    container: str

    @property
    def address(self) -> tuple[str, int]:
        """Where its door is."""
        return self.lab.address, OUTER

    def exchange(self, request: bytes, wait_s: float = 5.0) -> tuple[socket.socket, bytes]:
        """Sends bytes to the door; the open connection and what came back, up to the end of the headers."""
        connection = socket.create_connection(self.address, wait_s)
        connection.settimeout(wait_s)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.sendall(request)
            while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
                answer += data
        return connection, answer

    def status(self, request: bytes) -> int:
        """The status that a request is answered with; 0 when the connection just ends."""
        connection, answer = self.exchange(request)
        connection.close()
        return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0

    def tunnel(self, host: str, port: int = 443) -> tuple[socket.socket, int]:
        """Asks for a tunnel: the connection and the status."""
        connection, answer = self.exchange(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        return connection, int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0

    def log(self) -> list[str]:
        """The lines of its access log."""
        return [line for line in run("podman", "logs", self.container).splitlines() if line]


@contextmanager
def proxy(
    place: Lab, files: Mapping[str, str], without: Mapping[str, str] | None = None, *, resolver: str = zone.RESOLVER
) -> Iterator[Proxy]:
    """The image with this configuration, as a pod would run it: any UID, no capabilities, a read-only root.

    `without` are patterns of squid.conf and what replaces them, everywhere: to take a defence away.
    """
    directory = place.directory / "configuration"
    directory.mkdir()
    place.directory.chmod(0o755)
    for name, text in files.items():
        (directory / name).write_text(_changed(text, without or {}) if name == "squid.conf" else text)
    names = place.directory / "resolv.conf"
    names.write_text(f"nameserver {resolver}\n")
    try:
        run(*_podman(place, directory, names))
        running = Proxy(place, place.name)
        _await(running)
        yield running
    finally:
        run("podman", "rm", "-f", "-t", "0", place.name, check=False)


def _changed(text: str, without: Mapping[str, str]) -> str:
    for pattern, replacement in without.items():
        text, times = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert times, f"nothing in squid.conf is like {pattern}"
    return text


def _podman(place: Lab, directory: Path, resolver: Path) -> list[str | Path]:
    return [
        *("podman", "run", "-d", "--read-only", "--read-only-tmpfs=false"),
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--name={place.name}",
        f"--network=ns:/run/netns/{place.name}",
        f"--user={random.randrange(1_000_000_000, 1_000_900_000)}:0",
        "--tmpfs=/tmp:mode=1777",
        "--tmpfs=/run/squid:mode=1777",
        f"--volume={directory}:/etc/paude/proxy:ro",
        f"--volume={resolver}:/etc/resolv.conf:ro",
        # Both: a machine may allow no more processes than this, and one of them alone puts the other back.
        f"--ulimit=nofile={FILES}:{FILES}",
        "--ulimit=nproc=4096:4096",
        image(),
    ]


def _await(running: Proxy) -> None:
    """Until its door and the canary's are open, and squid has found its own inner door (a second try after 50 ms)."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            for port in (CANARY, OUTER):
                socket.create_connection((running.lab.address, port), 1).close()
            time.sleep(SETTLE_S)
            return
        except OSError as exc:
            state = json.loads(run("podman", "inspect", running.container))[0]["State"]
            if state["Status"] == "exited" or time.monotonic() > until:
                raise AssertionError(_said(running.container)) from exc
            time.sleep(0.02)


def _said(container: str) -> str:
    done = subprocess.run(["podman", "logs", container], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return "the proxy is not ready: " + (done.stdout + done.stderr)[-3000:]
