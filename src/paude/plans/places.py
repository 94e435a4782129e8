"""Where sessions live: a namespace of a cluster, or this machine's podman. Plans ask the place, and not what it is.

What every place can do has one name here; what differs by nature is beside it, in `on_kubernetes` and `on_podman`.
Each imports its backend where it is used: the other's libraries take longer to load than its session to start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from paude.backends import PODMAN

if TYPE_CHECKING:
    from paude.backends.base import Reachable, Session
    from paude.backends.request import Request
    from paude.engine import Node, Plan
    from paude.engine.plan import Opening
    from paude.plans.doctor import Check
    from paude.plans.homecoming import Losses
    from paude.plans.laptop import Laptop
    from paude.plans.refresh import BothEnds
    from paude.plans.request import Wishes
    from paude.sessions.records import Record
    from paude.settings import Paths, Settings
    from paude.tunnel.base import Dialer

Ways: TypeAlias = "Callable[[Record], Dialer]"
"""From the record of a session to the way to its containers."""

P = TypeVar("P")


class Steps(Protocol[P]):
    """The steps that every place has for a session that lives there."""

    def connect(self) -> Opening[P]:
        """Open the way to it."""
        ...

    def find_pod(self, place: P, /) -> Awaitable[Reachable | None]:
        """The session's pod, if its gate runs."""
        ...


class Place(Protocol):
    """One kind of place, with all that plans need to know of it."""

    @property
    def remote(self) -> bool:
        """Whether a network lies between it and this machine, and other laptops reach it too."""
        ...

    async def examine(self, settings: Settings, paths: Paths) -> list[Check]:
        """Whether all is there that a session needs. Changes nothing."""
        ...

    def pod(self, name: str) -> str:
        """What the agent's pod or container is called there."""
        ...

    def request(self, asked: Request, wishes: Wishes, record: Record, resumed: Record | None) -> Request:
        """What a start asks of this place, decided before anything is made. Raises UsageError, SettingsError."""
        ...

    def start(self, request: Request, laptop: Laptop) -> Plan:
        """The plan of a start; `request` is this place's own."""
        ...

    async def manifests(self, request: Request, *, ids_assigned: bool) -> list[dict[str, Any]]:
        """The objects of a start, without secrets. Raises UsageError where there are none."""
        ...

    def session(self, record: Record, paths: Paths) -> AbstractAsyncContextManager[Session]:
        """The way to a session that lives there. Raises what the place's refusals mean."""
        ...

    def ways(self, record: Record, paths: Paths) -> Ways:
        """The tunnels to this session, and to all that live in the same place under the same login."""
        ...

    def pinned(self, record: Record, paths: Paths) -> AbstractAsyncContextManager[Dialer]:
        """The tunnel to this session for somebody who looks at it: it ends with the pod that it first reached."""
        ...

    async def still_there(self, record: Record, paths: Paths) -> bool:
        """Whether the session has its name there yet: another laptop may have ended it."""
        ...

    def bring_home(self, record: Record, paths: Paths) -> tuple[Plan, Node[Losses]]:
        """The plan before a stop, and the step that tells what would be lost."""
        ...

    def take_down(self, record: Record, paths: Paths, *, keep_volume: bool, keep_name: bool = True) -> Plan:
        """The plan of a stop. A volume that is kept keeps the name, unless there is none."""
        ...

    def change(self, record: Record, paths: Paths, add: tuple[str, ...], remove: tuple[str, ...]) -> Plan:
        """The plan of another list; its step `look` finds the wall as it was."""
        ...

    def refresh(self, ends: BothEnds, contents: Mapping[str, Mapping[str, bytes]]) -> Plan:
        """The plan of other credentials; `contents` are the session's secrets by part."""
        ...


def place_of(backend: str) -> Place:
    """The place that a record or a setting names. The one function that tells them apart."""
    if backend == PODMAN:
        from paude.plans.on_podman import OnPodman

        return OnPodman()
    from paude.plans.on_kubernetes import OnKubernetes

    return OnKubernetes()
