"""Which laptop this is: the gate of a session lets one at a time keep the workspace in step."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError
from paude.settings import Paths

_NAMED = re.compile(r"([0-9a-f]{16})\n?")
_NOT_IN_A_HOST = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Machine:
    """This laptop: `id` is random and made once for a state directory, `host` is for people to read."""

    id: str
    host: str

    def __str__(self) -> str:
        return f"{self.id}@{self.host}"


def this_machine(paths: Paths) -> Machine:
    """The name of this laptop. Raises SettingsError when it cannot be kept."""
    file = paths.state / "machine"
    try:
        if (found := _read(file)) is None:
            file.unlink(missing_ok=True)  # cut off by a full disk, perhaps
            _make(file)
            found = _read(file)
    except OSError as exc:
        raise SettingsError(f"{file} cannot be used", why=str(exc)) from exc
    if found is None:
        raise SettingsError(f"{file} cannot be used", why="it changes while it is read", hint="try again")
    return Machine(found, _host())


def _read(file: Path) -> str | None:
    try:
        found = _NAMED.fullmatch(file.read_text("ascii", "replace"))
    except FileNotFoundError:
        return None
    return found[1] if found else None


def _make(file: Path) -> None:
    """Whoever is first names it; the file is whole from the beginning."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent) as fresh, contextlib.suppress(FileExistsError):
        fresh.write(f"{secrets.token_hex(8)}\n")
        fresh.flush()
        os.link(fresh.name, file)


def _host() -> str:
    plain = _NOT_IN_A_HOST.sub("-", socket.gethostname())[:63].strip("-.")
    return plain or "laptop"
