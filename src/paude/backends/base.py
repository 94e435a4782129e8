"""What a place where sessions run has to offer, whatever kind it is. Types only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from paude.sessions.states import Seen
from paude.tunnel.base import Dialer

if TYPE_CHECKING:  # the supervisor has no need of them
    from paude.egress.allowlist import Allowlist
    from paude.egress.blocked import Denied
    from paude.egress.company import Company


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


class Wall(Protocol):
    """How a session's wall stands."""

    @property
    def allowlist(self) -> Allowlist:
        """What it lets through."""
        ...

    @property
    def company(self) -> Company:
        """What the company's network asks for."""
        ...

    @property
    def serves(self) -> str:
        """The digest of the list that its proxy serves; empty while none is settled."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether the session has no proxy: it is stopped and kept."""
        ...

    @property
    def address(self) -> str:
        """Where the session finds its proxy."""
        ...

    @property
    def pod(self) -> Reachable | None:
        """The session's containers, if its gate runs."""
        ...


@dataclass(frozen=True)
class Egress:
    """What lets a session out: `allowlist` is the list, `serves` its digest and `proxy` the proxy's name (both empty
    for a session that is stopped), `address` where the session finds it, `shared_by` the sessions that use it too."""

    allowlist: Allowlist
    serves: str
    proxy: str
    address: str
    shared_by: Sequence[str] = ()


class Session(Protocol):
    """One session where it lives, with the way there open. Each question raises what the place's refusals mean."""

    async def find_pod(self) -> Reachable | None:
        """Its containers, if its gate runs."""
        ...

    async def seen(self, gate: Mapping[str, object] | None = None) -> Seen:
        """Its state; `gate` is what its gate says, if that was asked."""
        ...

    async def warnings(self) -> Sequence[str]:
        """What the user should know of its wall, one line each."""
        ...

    async def wall(self) -> Wall:
        """Raises NotFound when the session has gone, UsageError when it has no wall."""
        ...

    async def egress(self) -> Egress:
        """What lets it out. Raises as `wall`."""
        ...

    async def refused(self) -> tuple[Allowlist, list[Denied]]:
        """The list, and what was refused so far, the latest first. Raises NotFound when the session does not run."""
        ...

    def refused_as_they_come(self) -> AsyncGenerator[Denied, None]:
        """Each refusal, those of the past first; ends with the caller. Raises as `refused`."""
        ...

    async def log(self, container: str, tell: Callable[[str], None], *, follow: bool, previous: bool) -> None:
        """Give `tell` the lines of one container's log. Raises NotFound when there is no such container."""
        ...
