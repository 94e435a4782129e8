"""The words of an attachment: how it may end, how its link stands, how patient it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Detached:
    """The user left; the agent goes on."""


@dataclass(frozen=True)
class AgentEnded:
    """The coding agent ended by itself, with `code` where it is known."""

    code: int | None


AttachResult = Detached | AgentEnded


class State(Enum):
    """The link, as the user sees it."""

    CONNECTING = "connecting"
    LIVE = "live"
    SUSPECT = "no answer"
    DOWN = "link lost"


@dataclass(frozen=True)
class Tempo:
    """Seconds: ask after this silence, suspect after that one; how long a missing pod may still come back, and a
    login or a right be refused that was good before: an API server that has just begun has not read its rights yet.

    While nobody has typed for `idle_after`, the ones with `idle` hold.
    """

    keepalive: float = 1.5
    silence: float = 2.5
    idle_after: float = 600.0
    idle_keepalive: float = 15.0
    idle_silence: float = 25.0
    gone_after: float = 30.0
    refused_after: float = 10.0
