"""A real registry with TLS, an authority of its own and a login, and what it was asked."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from paude.images.reference import Login, RegistryTarget
from paude.images.registry import trust

USER, PASSWORD = "dev", "canary-f00dbeefcafe"
AUTH = "  htpasswd: {{realm: test, path: {}/htpasswd}}"


def authority(directory: Path, *names: str) -> Path:
    """A certificate authority of its own, and a certificate of it for localhost and for these names."""
    ca, key = directory / "ca.crt", directory / "ca.key"
    openssl = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    quiet = {"check": True, "capture_output": True}
    subprocess.run([*openssl, "-x509", "-keyout", key, "-out", ca, "-days", "2", "-subj", "/CN=test-ca"], **quiet)
    extensions = directory / "ext"
    others = "".join(f",DNS:{name}" for name in names)
    extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1{others}\nextendedKeyUsage=serverAuth\n")
    request, own = directory / "server.csr", directory / "server.key"
    subprocess.run([*openssl, "-keyout", own, "-out", request, "-subj", "/CN=localhost"], **quiet)
    sign = ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2"]
    subprocess.run([*sign, "-extfile", extensions, "-out", directory / "server.crt"], **quiet)
    return ca


@dataclass(frozen=True)
class Registry:
    """A running registry: where it is, whom to trust, and what it was asked."""

    address: str
    ca: Path
    log: Log

    def target(self, password: str = PASSWORD, ca: Path | None = None) -> RegistryTarget:
        return RegistryTarget(f"{self.address}/team", Login(USER, password), ca or self.ca)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def asked(self) -> list[str]:
        """Every request so far; one of our own marks the moment, so that none is still on its way into the log."""
        marker = f"/v2/marker-{os.urandom(4).hex()}"
        answer = httpx.head(f"https://{self.address}{marker}", verify=trust(self.ca))
        assert answer.status_code == 404
        return self.log.until(marker)


class Log:
    """The lines of a server, as they come."""

    def __init__(self, lines: IO[str]) -> None:
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(lines,))
        self._thread.start()

    def until(self, word: str) -> list[str]:
        """The requests up to a line with `word`, waited for."""
        with self._more:
            assert self._more.wait_for(lambda: any(word in line for line in self._lines), 15), self._lines[-5:]
            return [line for line in self._lines if ' "HEAD /v2/team' in line or ' "PUT /v2' in line]

    def join(self) -> None:
        self._thread.join()

    def _follow(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                with self._more:
                    self._lines.append(line)
                    self._more.notify_all()


def call(*argv: str, stdin: str = "") -> str:
    """What a program printed; it must succeed."""
    return subprocess.run(argv, input=stdin, text=True, check=True, capture_output=True).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(directory: Path, auth: str, data: Path | None = None, host: str = "127.0.0.1") -> Iterator[Registry]:
    """A registry with the certificate in the directory; what it holds lies there too, or in `data`."""
    port = free_port()
    settings = directory / "registry.yml"
    settings.write_text(
        f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {data or directory / "data"}}}}}
http:
  addr: "{host}:{port}"
  tls: {{certificate: {directory}/server.crt, key: {directory}/server.key}}
auth:
{auth}
"""
    )
    child = subprocess.Popen(
        ["docker-registry", "serve", settings], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdout is not None
    log = Log(child.stdout)
    try:
        log.until("listening on")
        yield Registry(f"{'localhost' if host == '127.0.0.1' else host}:{port}", directory / "ca.crt", log)
    finally:
        child.terminate()
        child.wait()
        log.join()
