"""What of the user's own Claude Code goes along: instructions, agents, commands, skills, settings, MCP servers.

Nothing that runs on the laptop's behalf (hooks, helpers, status lines), no login, no history, no other project, and
nothing that looks like a secret. What was left out for that reason is told.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paude.credentials import tree
from paude.credentials.mcp import Server, servers
from paude.redaction import looks_secret

LARGEST_FILE = 256 * 1024
# A Secret may hold 1 MiB in all, one of podman's 500 kB.
LARGEST = 384 * 1024
_FILES = ("CLAUDE.md",)
_TREES = ("agents", "commands", "skills")
_SECRET_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".jks", ".kdbx")
_SECRET_NAMES = (".env", "id_rsa", "id_ed25519", "id_ecdsa", ".netrc", ".npmrc", ".git-credentials", "credentials.json")
# https://code.claude.com/docs/en/settings: those that start no program, name no file and hold no secret.
_SETTINGS = {
    "model": str, "outputStyle": str, "language": str, "effortLevel": str, "includeCoAuthoredBy": bool,
    "alwaysThinkingEnabled": bool, "cleanupPeriodDays": int, "showTurnDuration": bool, "spinnerTipsEnabled": bool,
    "prefersReducedMotion": bool, "respectGitignore": bool, "autoCompactEnabled": bool,
}  # fmt: skip
_PERMISSIONS = ("allow", "ask", "deny")


@dataclass(frozen=True)
class ClaudeHome:
    """`packed` is a tar for the agent's home directory (empty: nothing), `left_out` says what stays and why."""

    packed: bytes = field(default=b"", repr=False)
    servers: Mapping[str, Server] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def needs_consent(self) -> tuple[str, ...]:
        """One sentence for each MCP server whose secrets are to go along."""
        return tuple(
            f"the secrets of the MCP server {name} ({', '.join(one.secrets)}) will lie in the agent's container"
            for name, one in self.servers.items()
            if one.secrets
        )


def find(environ: Mapping[str, str], home: Path, workspace: Path, *, secrets: bool = False) -> ClaudeHome:
    """Read `~/.claude`, or the directory that CLAUDE_CONFIG_DIR names; `secrets`: MCP servers keep theirs."""
    configured = environ.get("CLAUDE_CONFIG_DIR")
    base = Path(configured) if configured else home / ".claude"
    left: list[str] = []
    files = dict(_instructions(base, left))
    settings = _settings(base / "settings.json")
    if settings:
        files["settings.json"] = json.dumps(settings, indent=1).encode()
    found = servers(base / ".claude.json" if configured else home / ".claude.json", workspace, secrets=secrets)
    left += [f"MCP server {name}: {why}" for name, one in found.items() if (why := one.missing)]
    usable = {name: one for name, one in found.items() if one.definition}
    return ClaudeHome(_packed(files, left), usable, tuple(left))


def _instructions(base: Path, left: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in _FILES:
        yield from _file(base, name, left)
    for top in _TREES:
        for directory, below, names in os.walk(base / top):
            below[:] = sorted(one for one in below if one not in {".git", "node_modules", "__pycache__"})
            for name in sorted(names):
                yield from _file(base, os.path.relpath(os.path.join(directory, name), base), left)


def _file(base: Path, name: str, left: list[str]) -> Iterator[tuple[str, bytes]]:
    data = _content(base / name, left, name)
    if data is None:
        return
    leaf = Path(name).name.lower()
    if leaf.endswith(_SECRET_SUFFIXES) or leaf in _SECRET_NAMES or leaf.startswith(".env."):
        left.append(f"{name}: its name is that of a secret")
    elif looks_secret(data.decode("utf-8", "replace")):
        left.append(f"{name}: it holds what looks like a secret")
    else:
        yield name, data


def _content(path: Path, left: list[str], name: str) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO has no writer to wait for
    except OSError:
        return None
    with os.fdopen(handle, "rb") as source:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        data = source.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        left.append(f"{name}: it is larger than {LARGEST_FILE // 1024} KiB")
        return None
    return data


def _settings(path: Path) -> dict[str, Any]:
    data = _content(path, [], path.name)
    try:
        given = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    kept: dict[str, Any] = {
        name: given[name] for name, kind in _SETTINGS.items() if type(given.get(name)) is kind and _plain(given[name])
    }
    rules = given.get("permissions")
    wanted = {name: _words(rules.get(name)) for name in _PERMISSIONS} if isinstance(rules, dict) else {}
    permissions = {name: words for name, words in wanted.items() if words}
    return {**kept, "permissions": permissions} if permissions else kept


def _words(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and _plain(one)] if isinstance(value, list) else []


def _plain(value: object) -> bool:
    return not (isinstance(value, str) and looks_secret(value))


def _packed(files: Mapping[str, bytes], left: list[str]) -> bytes:
    """The files as one tar, packed; the largest stay away when it would be too large. Equal files, equal bytes."""
    kept = dict(files)
    while kept:
        packed = tree.pack({f".claude/{name}": data for name, data in kept.items()})
        if len(packed) <= LARGEST:
            return packed
        largest = max(kept, key=lambda name: len(kept[name]))
        left.append(f"{largest}: there is no room for it ({LARGEST // 1024} KiB in all)")
        del kept[largest]
    return b""
