"""The directories that paude may use, as the XDG variables name them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError

# sockaddr_un holds 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET = 100


@dataclass(frozen=True)
class Paths:
    """The directories of one user: `state` survives a reboot, `runtime` does not; both 0700."""

    state: Path
    runtime: Path
    config: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> Paths:
        """The XDG directories, or their defaults; made on the way, 0700.

        Raises SettingsError when one of them cannot be made.
        """
        home = Path(os.environ.get("HOME") or Path("~").expanduser())
        paths = cls(
            state=_xdg("XDG_STATE_HOME", home / ".local/state") / "paude",
            runtime=_runtime(),
            config=_xdg("XDG_CONFIG_HOME", home / ".config") / "paude",
            cache=_xdg("XDG_CACHE_HOME", home / ".cache") / "paude",
        )
        try:
            for directory in (paths.state, paths.runtime, paths.cache):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise SettingsError("paude cannot make its directories", why=str(exc), hint="set XDG_STATE_HOME") from exc
        return paths

    @property
    def user_settings(self) -> Path:
        """The user's own settings, for all workspaces."""
        return self.config / "config.json"

    @property
    def sessions(self) -> Path:
        """One directory per session known on this machine."""
        return self.state / "sessions"

    @property
    def sync(self) -> Path:
        """The sync daemon's private data directory."""
        return self.state / "sync"

    @property
    def supervisor_socket(self) -> Path:
        """The unix socket of the supervisor: its name follows the state directory, so two of those never meet."""
        name = hashlib.sha256(str(self.state).encode()).hexdigest()[:12]
        return self.runtime / f"{name}.sock"

    def session(self, name: str) -> Path:
        """The directory of the session `name`."""
        return self.sessions / name


def _xdg(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else default


def _runtime() -> Path:
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(value) / "paude" if value.startswith("/") else None
    if base is None or len(str(base)) + len("/123456789abc.sock") > _LONGEST_SOCKET:
        base = Path(tempfile.gettempdir()) / f"paude-{os.getuid()}"
    if base.exists() and base.stat().st_uid != os.getuid():
        raise SettingsError(f"{base} belongs to somebody else", hint="set XDG_RUNTIME_DIR to a directory of your own")
    return base
