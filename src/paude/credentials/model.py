"""Which model the coding agent uses and where it answers, as the user set it for his own; none of it is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paude.credentials.web import host_of
from paude.errors import SettingsError

# https://code.claude.com/docs/en/settings, environment variables
_ADDRESSES = {"vertex": "ANTHROPIC_VERTEX_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}
_CHOICES = re.compile(
    r"ANTHROPIC_(?:MODEL|SMALL_FAST_MODEL|DEFAULT_(?:OPUS|SONNET|HAIKU)_MODEL)|VERTEX_REGION_[A-Z0-9_]{1,60}"
    r"|CLAUDE_CODE_(?:SUBAGENT_MODEL|MAX_OUTPUT_TOKENS|EFFORT_LEVEL)|MAX_THINKING_TOKENS"
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,200}")


@dataclass(frozen=True)
class Model:
    """Variables for the agent, and the host of an address of the user's own (empty: the usual ones)."""

    variables: Mapping[str, str] = field(default_factory=dict)
    host: str = ""


def find(environ: Mapping[str, str], service: str) -> Model:
    """The user's choices for `service` (vertex or anthropic). Raises SettingsError for an address that is none."""
    chosen = {name: value.strip() for name, value in environ.items() if _CHOICES.fullmatch(name) and value.strip()}
    for name, value in chosen.items():
        if not _WORD.fullmatch(value):
            raise SettingsError(f"{name} is {value[:40]!a}", hint="set it to the name of a model or a region")
    variable = _ADDRESSES[service]
    address = environ.get(variable, "").strip()
    if not address:
        return Model(chosen)
    return Model({**chosen, variable: address}, host_of(address, variable))
