"""A company's web proxy: a real squid that lets CONNECT through to one port of this machine, and counts."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers.waiting import eventually

CONFIGURATION = """\
http_port 127.0.0.1:{port}
acl way port {target}
http_access allow CONNECT way
http_access deny all
access_log stdio:{directory}/access.log
cache_log /dev/null
pid_filename none
coredump_dir none
cache deny all
"""


@dataclass(frozen=True)
class WebProxy:
    """Where it listens."""

    port: int
    target: int
    log: Path

    @property
    def url(self) -> str:
        """As HTTPS_PROXY has it."""
        return f"http://127.0.0.1:{self.port}"

    def connections(self) -> int:
        """How many tunnels through it have ended: squid logs them then."""
        asked = f"CONNECT 127.0.0.1:{self.target} "
        return sum(asked in line and "TCP_TUNNEL/200" in line for line in self.log.read_text().splitlines())


@contextmanager
def squid(target: int) -> Iterator[WebProxy]:
    """A running one, on the way to `target`."""
    with tempfile.TemporaryDirectory(prefix="pq-") as name, socket.socket() as chosen:
        directory = Path(name)
        directory.chmod(0o777)  # squid gives up root
        chosen.bind(("127.0.0.1", 0))
        port = int(chosen.getsockname()[1])
        chosen.close()
        file = directory / "squid.conf"
        file.write_text(CONFIGURATION.format(port=port, target=target, directory=directory))
        proxy = WebProxy(port, target, directory / "access.log")
        process = subprocess.Popen(["squid", "-N", "-f", file], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: _listens(port), 30, "squid")
            yield proxy
        finally:
            process.kill()
            process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
