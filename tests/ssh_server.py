"""A real sshd on a loopback port, with keys and a configuration of its own, for one test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from paude.ssh.keys import KeyPair, generate

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Sshd:
    """Where it listens and the keys that open it."""

    port: int
    client: KeyPair
    host: KeyPair
    directory: Path
    _servers: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._servers[-1].pid

    def start(self) -> None:
        """Listen; also again, after `kill`."""
        with (self.directory / "sshd.log").open("ab") as log:
            argv = [SSHD, "-D", "-e", "-f", str(self.directory / "sshd_config")]
            self._servers.append(subprocess.Popen(argv, stderr=log, env=dict(os.environ)))
        _wait(self.port)

    def stop(self) -> None:
        """Listen no more; connections end by themselves."""
        self._servers[-1].terminate()
        self._servers[-1].wait(10)

    def kill(self) -> None:
        """End everything at once and without a word: the server, its connections and what they run."""
        for one in (*self.connections(), self.pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self._servers[-1].wait(10)

    def connections(self) -> list[int]:
        """The processes of all connections, and what they run."""
        return descendants(self.pid)

    @property
    def user(self) -> str:
        """The only user who may log in."""
        return getuser()

    def cut(self) -> int:
        """Kill every connection, and not the server; how many there were."""
        killed = 0
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(ProcessLookupError):  # one of an earlier connection may just be ending
                os.kill(int(child), signal.SIGKILL)
                killed += 1
        return killed


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):  # it may just be ending
                found += map(int, children.read_text().split())
    return found[1:]


@contextmanager
def sshd(directory: Path, *extra: str) -> Iterator[Sshd]:
    """A running one; `extra` are lines of its configuration."""
    client, host = generate("client"), generate("host")
    _private(directory / "host", host.private_openssh)
    _private(directory / "authorized", client.public_openssh + "\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = _free_port()
    config = directory / "sshd_config"
    config.write_text(
        "\n".join(
            [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {directory / 'host'}",
                f"AuthorizedKeysFile {directory / 'authorized'}",
                "StrictModes no",
                "UsePAM no",
                "PasswordAuthentication no",
                "PidFile none",
                "MaxStartups 100",
                "PrintMotd no",
                "AcceptEnv LANG LC_* COLORTERM",
                *extra,
                "",
            ]
        )
    )
    server = Sshd(port, client, host, directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
        else:
            return
