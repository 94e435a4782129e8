"""This machine's podman as the place of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paude.backends.base import Session
    from paude.engine import Node, Plan
    from paude.plans.homecoming import Losses
    from paude.plans.places import Ways
    from paude.plans.refresh import BothEnds
    from paude.sessions.records import Record
    from paude.settings import Paths
    from paude.tunnel.base import Dialer


class OnPodman:
    """Podman: `places.Place`."""

    remote = False

    @asynccontextmanager
    async def session(self, record: Record, paths: Paths) -> AsyncIterator[Session]:
        """By the podman that this user has."""
        from paude.backends.podman import engine
        from paude.backends.podman.session import Session

        yield Session(await engine.connect(), record)

    def ways(self, record: Record, paths: Paths) -> Ways:
        """By names: the containers bear the session's, whatever they were made from."""
        from paude.backends.podman.ways import dialer

        return lambda one: dialer(one.name, paths)

    @asynccontextmanager
    async def pinned(self, record: Record, paths: Paths) -> AsyncIterator[Dialer]:
        """The same: containers that are made anew are the session all the same."""
        yield self.ways(record, paths)(record)

    async def still_there(self, record: Record, paths: Paths) -> bool:
        """It is: nobody but this machine could have ended it."""
        return True

    def bring_home(self, record: Record, paths: Paths) -> tuple[Plan, Node[Losses]]:
        """The same in every place."""
        from paude.backends.podman.stop import Stop
        from paude.plans import stop
        from paude.plans.homecoming import Homecoming

        return stop.bring_home(Stop(record, paths), Homecoming(record, paths))

    def take_down(self, record: Record, paths: Paths, *, keep_volume: bool) -> Plan:
        """What the containers used goes after them."""
        from paude.backends.podman.stop import Stop
        from paude.plans import stop
        from paude.plans.homecoming import Homecoming

        return stop.take_down_on_podman(Stop(record, paths), Homecoming(record, paths), keep_volume=keep_volume)

    def change(self, record: Record, paths: Paths, add: tuple[str, ...], remove: tuple[str, ...]) -> Plan:
        """Another proxy takes over the socket."""
        from paude.backends.podman.wall import Change
        from paude.plans import allow

        return allow.on_podman(Change(record, paths, add, remove))

    def refresh(self, ends: BothEnds, contents: Mapping[str, Mapping[str, bytes]]) -> Plan:
        """The same in every place."""
        from paude.backends.podman.renew import Renew
        from paude.plans import refresh

        return refresh.refresh(Renew(ends.record, ends.paths, contents), ends)
