"""The definitions of the user's MCP servers, without their secrets unless those were asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paude import redaction
from paude.redaction import looks_secret

LARGEST = 32 * 1024 * 1024  # Claude Code keeps its history in the same file
_TEXTS = ("type", "command", "url")
_TABLES = ("env", "headers")
# `${VARIABLE}` and `${VARIABLE:-default}` are filled in by Claude Code, where it runs.
_REFERENCE = re.compile(r"[A-Za-z ]{0,20}\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]{0,100})?\}")
_IN_ADDRESS = re.compile(r"[?&][^=&]*(?:key|token|secret|password|auth)[^=&]*=[^&]", re.IGNORECASE)
_IN_WORDS = re.compile(r"^--?[a-z0-9-]*(?:key|token|secret|password|auth)[a-z0-9-]*(?:=.+)?$", re.IGNORECASE)
# `docker run -e API_TOKEN=…`, `--env=API_TOKEN=…`, `--header "X-Api-Key: …"`; what is filled in where it runs is none.
_ASSIGNED = re.compile(
    r"^(?:--?[a-z0-9-]+=)?[a-z0-9_-]*(?:key|token|secret|password|auth)[a-z0-9_-]*\s*[=:]\s*(?![a-z ]{0,20}\$\{)\S",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Server:
    """One server: `definition` for the agent (empty: it stays away), its secrets by name, what is missing of it."""

    definition: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = ()
    missing: str = ""


def servers(path: Path, workspace: Path, *, secrets: bool) -> dict[str, Server]:
    """The user's servers, and his own for this workspace, from Claude Code's file; a broken file has none."""
    try:
        whole = json.loads(path.read_bytes()) if path.is_file() and path.stat().st_size <= LARGEST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    of_project = _table(_table(_table(whole).get("projects")).get(str(workspace.resolve())))
    defined = {**_table(_table(whole).get("mcpServers")), **_table(of_project.get("mcpServers"))}
    return {str(name)[:100]: _server(one, secrets) for name, one in defined.items() if isinstance(one, dict)}


def _server(one: Mapping[str, Any], secrets: bool) -> Server:
    kept: dict[str, Any] = {name: one[name] for name in _TEXTS if isinstance(one.get(name), str)}
    words = [str(word) for word in one.get("args") or ()] if isinstance(one.get("args"), list) else []
    if words:
        kept["args"] = words
    if not (kept.get("command") or kept.get("url")):
        return Server(missing="it names neither a program nor an address")
    inline = _secret_in(kept, words)
    if inline and not secrets:
        return Server(missing=f"there is a secret in its {inline} (--mcp-secrets takes it along)")
    values = {kind: {str(k): str(v) for k, v in _table(one.get(kind)).items()} for kind in _TABLES}
    hidden = {kind: [k for k, v in table.items() if not _REFERENCE.fullmatch(v)] for kind, table in values.items()}
    names = tuple(name for kind in _TABLES for name in hidden[kind])
    for kind, table in values.items():
        wanted = {k: v for k, v in table.items() if secrets or k not in hidden[kind]}
        for name in hidden[kind]:
            redaction.hold(table[name])
        if wanted:
            kept[kind] = wanted
    if secrets:
        return Server(kept, (*names, *([inline] if inline else [])))
    missing = f"without {', '.join(names)} (--mcp-secrets takes them along)" if names else ""
    return Server(kept, (), missing)


def _secret_in(texts: Mapping[str, Any], words: list[str]) -> str:
    url = str(texts.get("url", ""))
    if _IN_ADDRESS.search(url) or looks_secret(url):
        return "address"
    if any(_IN_WORDS.match(word) or _ASSIGNED.match(word) or looks_secret(word) for word in words):
        return "arguments"
    return ""


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
