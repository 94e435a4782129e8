"""The coding agents: what each adds to the agent's image, how it is started, what it is told by its environment.

Data only. `files` are fetched when the image has to be built; the image's identity needs their versions alone,
so a start that finds the image in the registry fetches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paude.errors import SettingsError
from paude.images import hooks
from paude.images.npm import NpmFile, checked_version

# Looked up at the package's registry when this was written; `PAUDE_CLAUDE_VERSION` names another.
CLAUDE_VERSION = "2.1.330"
# The package carries one native binary per platform, linked against glibc.
_CLAUDE_PACKAGE = {
    "linux/amd64": "@anthropic-ai/claude-code-linux-x64",
    "linux/arm64": "@anthropic-ai/claude-code-linux-arm64",
}


@dataclass(frozen=True)
class Agent:
    """A coding agent: `lines` end the Containerfile, `files` join its context, `program` is what tmux runs."""

    name: str
    program: tuple[str, ...]
    lines: tuple[str, ...] = ()
    files: Mapping[str, NpmFile] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[str, ...] = ()


NAMES = ("claude", "shell")


def agent(name: str, platform: str, version: str = "") -> Agent:
    """The agent `name` for `platform`; `version` overrides its default one.

    Raises SettingsError for an agent, a platform or a version that does not exist.
    """
    if name == "shell":
        return Agent("shell", ("bash", "-l"))
    if name == "claude":
        return _claude(platform, checked_version(version or CLAUDE_VERSION))
    raise SettingsError(f"there is no agent {name[:40]!r}", hint="agents: claude, shell")


def _claude(platform: str, version: str) -> Agent:
    if platform not in _CLAUDE_PACKAGE:
        known = ", ".join(_CLAUDE_PACKAGE)
        raise SettingsError(f"Claude Code does not exist for {platform[:40]!r}", hint=f"platforms: {known}")
    return Agent(
        "claude",
        ("claude", "--settings", hooks.claude()),
        lines=("COPY claude /usr/local/bin/claude",),
        files={"claude": NpmFile(_CLAUDE_PACKAGE[platform], version, "package/claude")},
        environment={"DISABLE_AUTOUPDATER": "1"},
        presets=("anthropic",),
    )
