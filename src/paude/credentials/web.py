"""Addresses on the web that credentials are sent to."""

from __future__ import annotations

from urllib.parse import urlsplit

from paude.errors import SettingsError


def host_of(address: str, what: str) -> str:
    """The host of an HTTPS address without a login and on the usual port. Raises SettingsError for any other."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and parts.hostname and parts.username is None and parts.port in {None, 443}
    except ValueError:
        usable = False
    if not usable or not parts.hostname:
        raise SettingsError(f"{what} is no address that the session can use", why="it must be https://HOST[/PATH]")
    return parts.hostname
