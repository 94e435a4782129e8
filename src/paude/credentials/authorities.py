"""The certificates of the user's own authorities: of a company that opens TLS on its way, or of a private host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paude.credentials.sources import read
from paude.errors import SettingsError

VARIABLE = "PAUDE_EXTRA_CA"
LARGEST = 512 * 1024
_WHAT = f"the certificates of {VARIABLE}"


def find(environ: Mapping[str, str]) -> bytes:
    """The PEM file that PAUDE_EXTRA_CA names; empty without one.

    Raises SettingsError for a file that holds no certificate, or a private key beside them.
    """
    named = environ.get(VARIABLE)
    if not named:
        return b""
    path = Path(named)
    data = read(path, _WHAT, largest=LARGEST)
    if b"PRIVATE KEY-----" in data:
        raise SettingsError(f"{_WHAT} {named!r} cannot be used", why="a private key lies there, which nobody may have")
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise SettingsError(f"{_WHAT} {named!r} cannot be used", why="it holds no certificate in PEM")
    return data
