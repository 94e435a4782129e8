"""The one TLS trust of a cluster: for requests, watches and tunnels alike."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paude.backends.kubernetes.kubeconfig import Target
from paude.errors import SettingsError
from paude.settings import Paths


def trust_of(target: Target) -> ssl.SSLContext:
    """The kubeconfig's CA, else the operating system's store. Raises SettingsError."""
    with _told():
        ca = target.certificate_authority
        context = _context(ca.decode() if ca else None, target.cluster_entry.get("tls-server-name"))
        if target.cluster_entry.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def present(context: ssl.SSLContext, pair: tuple[bytes, bytes], paths: Paths) -> None:
    """From the next connection on show the certificate of `pair` (PEM, with its key). Raises SettingsError."""
    with _told():
        _load_chain(context, pair, paths.runtime)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, UnicodeDecodeError) as exc:
        raise SettingsError("the certificates in the kubeconfig cannot be used", why=str(exc)) from exc


class _Named(ssl.SSLContext):
    """Asks for a name of its own, whatever address was dialled, and takes the certificate of no other."""

    name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the one above, with the name."""
        return super().wrap_bio(incoming, outgoing, server_side, self.name, session)


def _context(ca: str | None, name: object) -> ssl.SSLContext:
    if not isinstance(name, str) or not name:
        return ssl.create_default_context(cadata=ca)
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    if ca:
        context.load_verify_locations(cadata=ca)
    else:
        context.load_default_certs()
    return context


def _load_chain(context: ssl.SSLContext, pair: tuple[bytes, bytes], directory: Path) -> None:
    # Python's ssl loads keys from files only; this one lives as long as the call.
    descriptor, name = tempfile.mkstemp(dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pair[0] + b"\n" + pair[1])
        context.load_cert_chain(name)
    finally:
        Path(name).unlink(missing_ok=True)
