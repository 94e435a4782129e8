"""What a coding agent would ask at its first start, answered beforehand: its first screen is the prompt. Pure."""

from __future__ import annotations

import json
from typing import Any

from paude.credentials import tree
from paude.credentials.claude_home import ClaudeHome
from paude.credentials.found import Found

WORKSPACE = "/workspace"
_NOTHING = ClaudeHome()
_KEY_TAIL = 20  # Claude Code remembers an approved API key by its last 20 characters


def claude(found: Found, own: ClaudeHome = _NOTHING, *, consent: bool) -> dict[str, bytes]:
    """Claude Code's own file: onboarding done, the workspace trusted, a key that the user agreed to approved; and what
    goes along of the user's own.

    The container is the wall that the question about trust is for.
    """
    answers: dict[str, Any] = {
        "hasCompletedOnboarding": True,
        "projects": {WORKSPACE: {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }
    key = found.api_key
    if key is not None and consent and key.variable == "ANTHROPIC_API_KEY":
        tail = key.value.reveal().decode("utf-8", "replace")[-_KEY_TAIL:]
        answers["customApiKeyResponses"] = {"approved": [tail], "rejected": []}
    if own.servers:
        answers["mcpServers"] = {name: dict(one.definition) for name, one in own.servers.items()}
    files = {tree.NAME: own.packed} if own.packed else {}
    return {"home..claude.json": json.dumps(answers).encode(), **files}


def codex(found: Found, *, consent: bool) -> dict[str, bytes]:
    """Codex's own files: the workspace trusted, a key that the user agreed to as its login."""
    files = {".codex/config.toml": f'[projects."{WORKSPACE}"]\ntrust_level = "trusted"\n'.encode()}
    if found.api_key is not None and consent:
        login = {found.api_key.variable: found.api_key.value.reveal().decode("utf-8", "replace")}
        files[".codex/auth.json"] = json.dumps(login).encode()
    return {tree.NAME: tree.pack(files)}
