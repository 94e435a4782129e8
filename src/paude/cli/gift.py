"""What a session is given of this machine's credentials: looked for, told, and agreed to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from paude.cli.app import in_loop, say
from paude.cli.ask import agreed
from paude.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from paude.plans.request import Gift


def gift_for(agent: str, workspace: Path, *, mcp_secrets: bool, yes: bool) -> Gift:
    """What this machine has for the agent; what is long-lived and would lie with the agent needs a yes, once."""
    from paude.credentials import claude_home, onboarding
    from paude.credentials import found as credentials
    from paude.images.agents import agent as find_agent
    from paude.plans.request import Gift

    if agent == "shell":
        found = in_loop(lambda: credentials.discover({}, Path("/nonexistent"), workspace))
        given = credentials.parcel(found, consent=True)
        return Gift(given.agent, given.gate)
    presets = find_agent(agent, "linux/amd64").presets
    found = in_loop(lambda: credentials.discover(os.environ, Path.home(), workspace, agent=agent))
    for line in found.summary():
        say(f"for the agent: {line}")
    own = claude_home.ClaudeHome()
    if agent == "claude":
        own = claude_home.find(os.environ, Path.home(), workspace, secrets=mcp_secrets)
    for line in own.left_out:
        say(f"stays here: {line}")
    consent = yes or _consents((*found.needs_consent, *own.needs_consent))
    if own.needs_consent and not consent:
        own = claude_home.find(os.environ, Path.home(), workspace)
    given = credentials.parcel(found, consent)
    welcome = onboarding.codex(found, consent=consent) if agent == "codex" else {}
    if agent == "claude":
        welcome = onboarding.claude(found, own, consent=consent)
    egress = found.egress
    return Gift(
        {**given.agent, **welcome},
        given.gate,
        expires=found.expires.isoformat(timespec="seconds") if found.expires else "",
        presets=(*egress.presets, *egress.hosts) or presets,
    )


def _consents(sentences: tuple[str, ...]) -> bool:
    """Ask once for each kind of secret; the answer is remembered on this machine."""
    import hashlib

    from paude.settings import Paths

    if not sentences:
        return True
    known = Paths.from_environment().state / "consent"
    mark = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    try:
        if mark in known.read_text().split():
            return True
    except (OSError, ValueError):
        pass  # then it is asked again
    matter = UsageError(
        "somebody has to agree to that",
        why="\n".join(sentences),
        hint="agree with --yes, or take the credentials away",
    )
    if not agreed(matter, "Give it to the agent?"):
        return False
    try:
        with known.open("a") as file:
            file.write(f"{mark}\n")
    except OSError as exc:
        raise SettingsError("the answer cannot be remembered", why=str(exc)) from exc
    return True
