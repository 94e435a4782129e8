"""What a place where sessions run has to offer, whatever kind it is. Types only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paude.sessions.states import Seen
from paude.tunnel.base import Dialer

KUBERNETES, PODMAN = "kubernetes", "podman"


@dataclass(frozen=True)
class Location:
    """Where a session is, as its record keeps it; only `server` means something in every kind of place."""

    server: str
    namespace: str = ""
    user: str = ""
    kubeconfig: Sequence[str] = ()


class Located(Protocol):
    """An open connection to a place."""

    @property
    def location(self) -> Location:
        """What pins it in a record."""
        ...


class Reachable(Protocol):
    """A session's containers whose gate runs."""

    @property
    def dialer(self) -> Dialer:
        """The way to the ports of their loopback."""
        ...


@dataclass(frozen=True)
class Listed:
    """One session as its place, of kind `backend`, knows it; `keeps`: its files outlive its containers."""

    name: str
    uid: str
    owner: str
    agent: str
    workspace: str
    wall: str
    created_at: str
    backend: str
    location: Location
    seen: Seen
    keeps: bool = True
