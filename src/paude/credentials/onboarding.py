"""What a coding agent would ask at its first start, answered beforehand: its first screen is the prompt. Pure."""

from __future__ import annotations

import json
from typing import Any

from paude.credentials.found import Found

WORKSPACE = "/workspace"
_KEY_TAIL = 20  # Claude Code remembers an approved API key by its last 20 characters


def claude(found: Found, *, consent: bool) -> dict[str, bytes]:
    """Claude Code's own file: onboarding done, the workspace trusted, a key that the user agreed to approved.

    The container is the wall that the question about trust is for.
    """
    answers: dict[str, Any] = {
        "hasCompletedOnboarding": True,
        "projects": {WORKSPACE: {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }
    key = found.anthropic_key
    if key is not None and consent and key.variable == "ANTHROPIC_API_KEY":
        tail = key.value.reveal().decode("utf-8", "replace")[-_KEY_TAIL:]
        answers["customApiKeyResponses"] = {"approved": [tail], "rejected": []}
    return {"home..claude.json": json.dumps(answers).encode()}
