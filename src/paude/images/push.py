"""Pushes with podman: the login in a private file that is gone afterwards, the CA in a directory of its own."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paude import report
from paude.errors import CommandFailed, ImageError
from paude.images.logins import auth_file
from paude.images.podman import line, podman, push_failure
from paude.images.reference import ImageReference, Login, RegistryTarget, is_digest
from paude.images.tidy import alive

_PREFIX = "push-"
_BLOB = re.compile(r"Copying (?:blob|config) ")


async def push(local: str, reference: ImageReference, target: RegistryTarget, runtime: Path) -> str:
    """Push the local image and return its digest; what podman prints is reported.

    The login is seen by podman alone, in a 0600 file below `runtime`.
    Raises LoginExpired, Forbidden, QuotaExceeded or ImageError (TLS, disk, unreachable).
    """
    with _private_directory(runtime) as private:
        digest_file = private / "digest"
        words = ["push", "--digestfile", str(digest_file), *_trust(target, private), *_login(target, private)]
        try:
            await podman([*words, local, f"docker://{reference}"], tell=_Blobs())
        except CommandFailed as exc:
            raise push_failure(f"{reference} cannot be pushed", reference.host, exc) from exc
        return _digest(reference, digest_file)


class _Blobs:
    """Podman's lines, counted."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, text: str) -> None:
        if _BLOB.match(text):
            self._count += 1
            report.progress(self._count, None, "layers")
        else:
            line(text)


def _login(target: RegistryTarget, private: Path) -> list[str]:
    return ["--authfile", str(_auth_file(target.login, target.host, private))] if target.login else []


def _auth_file(login: Login, host: str, private: Path) -> Path:
    file = private / "auth.json"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(auth_file(login, host))
    return file


def _trust(target: RegistryTarget, private: Path) -> list[str]:
    if target.ca_file is None:
        return []
    directory = private / "certs"
    directory.mkdir(mode=0o700)
    try:
        shutil.copyfile(target.ca_file, directory / "ca.crt")
    except OSError as exc:
        raise ImageError(f"the CA file {target.ca_file} cannot be read", why=str(exc)) from exc
    return ["--cert-dir", str(directory)]


def _digest(reference: ImageReference, file: Path) -> str:
    try:
        digest = file.read_text().strip()
    except OSError as exc:
        raise ImageError(f"podman does not say what it pushed as {reference}", why=str(exc)) from exc
    if not is_digest(digest):
        raise ImageError(f"podman does not say what it pushed as {reference}", why=f"digest {digest[:80]!r}")
    return digest


@contextmanager
def _private_directory(runtime: Path) -> Iterator[Path]:
    """A 0700 directory of this process; those that killed processes left are removed on the way."""
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(runtime)
        directory = Path(tempfile.mkdtemp(dir=runtime, prefix=f"{_PREFIX}{os.getpid()}-"))
    except OSError as exc:
        raise ImageError("paude cannot make a private directory for the login", why=str(exc)) from exc
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(runtime: Path) -> None:
    for left in runtime.glob(f"{_PREFIX}[0-9]*-*"):
        owner = int(left.name.removeprefix(_PREFIX).partition("-")[0])
        if not alive(owner):
            shutil.rmtree(left, ignore_errors=True)
