"""The name and the address with which the agent commits: nothing else of the user's git configuration travels."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from paude import process

_LONGEST = 200
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class GitIdentity:
    """user.name and user.email, cleaned."""

    name: str
    email: str

    def gitconfig(self) -> bytes:
        """A configuration file with these two values."""
        lines = ["[user]", f"\tname = {_quoted(self.name)}", f"\temail = {_quoted(self.email)}", ""]
        return "\n".join(lines).encode()


async def find(environ: Mapping[str, str], home: Path, workspace: Path) -> GitIdentity | None:
    """What git would use in `workspace` (conditional includes count); None without git or without a name."""
    name = clean(await _value("user.name", environ, home, workspace))
    email = clean(await _value("user.email", environ, home, workspace))
    return GitIdentity(name, email) if name and email else None


def clean(text: str) -> str:
    """One line without control and formatting characters, of at most 200 characters."""
    shown = (" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join("".join(shown).split())[:_LONGEST].strip()


async def _value(key: str, environ: Mapping[str, str], home: Path, workspace: Path) -> str:
    # None of the GIT_* variables: they could point anywhere.
    keep = {k: environ[k] for k in ("PATH", "XDG_CONFIG_HOME") if k in environ}
    env = {**keep, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    argv = ("git", "-C", str(workspace), "config", "--get", "--null", key)
    with anyio.move_on_after(_TIMEOUT_S):
        try:
            done = await process.run(argv, env=env, check=False)
        except process.ToolMissing:
            return ""
        return done.text.rstrip("\0") if done.returncode == 0 else ""
    return ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
