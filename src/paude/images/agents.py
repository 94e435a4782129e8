"""The coding agents: what each adds to the agent's image, how it is started, what it is told by its environment.

Each is a small file in `known/`. `files` are fetched when the image has to be built; the image's identity needs their
versions alone, so a start that finds the image in the registry fetches nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from paude.errors import SettingsError
from paude.images import hooks
from paude.images.npm import NpmFile, checked_version

_KNOWN = Path(__file__).with_name("known")


@dataclass(frozen=True)
class Agent:
    """A coding agent: `lines` end the Containerfile, `files` join its context, `program` is what tmux runs.

    `presets` are the lists of hosts that it needs.
    """

    name: str
    program: tuple[str, ...]
    lines: tuple[str, ...] = ()
    files: Mapping[str, NpmFile] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[str, ...] = ()


NAMES = tuple(sorted(file.stem for file in _KNOWN.glob("*.toml")))
"""The names of all agents."""


def agent(name: str, platform: str, version: str = "") -> Agent:
    """The agent `name` for `platform`; `version` overrides its default one.

    Raises SettingsError for an agent, a platform or a version that does not exist.
    """
    if name not in NAMES:
        raise SettingsError(f"there is no agent {name[:40]!r}", hint=f"agents: {', '.join(NAMES)}")
    described = _described(name)
    npm = described.get("npm")
    return Agent(
        name,
        (*described["program"], *_words_for_hooks(described)),
        lines=(f"COPY {npm['to']} /usr/local/bin/{npm['to']}",) if npm else (),
        files={npm["to"]: _file(name, npm, platform, version)} if npm else {},
        environment=described.get("environment", {}),
        presets=tuple(described["hosts"]),
    )


def _words_for_hooks(described: Mapping[str, Any]) -> tuple[str, ...]:
    """Claude Code's own way to tell how it stands; the file says that this agent has it."""
    return ("--settings", hooks.claude()) if described.get("hooks") == "claude" else ()


@cache
def _described(name: str) -> dict[str, Any]:
    return tomllib.loads((_KNOWN / f"{name}.toml").read_text())


def _file(name: str, npm: Mapping[str, Any], platform: str, version: str) -> NpmFile:
    of_platform = npm["platforms"].get(platform)
    if of_platform is None:
        platforms = ", ".join(npm["platforms"])
        raise SettingsError(f"{name} does not exist for {platform[:40]!r}", hint=f"platforms: {platforms}")
    member = of_platform.get("member") or npm["member"]
    wanted = checked_version(version or npm["version"]) + of_platform.get("suffix", "")
    return NpmFile(of_platform["package"], wanted, member)
