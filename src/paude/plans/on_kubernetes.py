"""A namespace of a cluster as the place of sessions."""

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


class OnKubernetes:
    """Kubernetes and OpenShift: `places.Place`."""

    remote = True

    @asynccontextmanager
    async def session(self, record: Record, paths: Paths) -> AsyncIterator[Session]:
        """In the cluster that the record pins."""
        from paude.backends.kubernetes.recorded import connected
        from paude.backends.kubernetes.session import Session

        async with connected(record, paths) as cluster:
            yield Session(cluster, record)

    def ways(self, record: Record, paths: Paths) -> Ways:
        """By way of the API server; the libraries for its requests are not loaded."""
        from paude.backends.kubernetes.kubeconfig import pinned
        from paude.backends.kubernetes.login import Login
        from paude.backends.kubernetes.tunnels import tunnel_to

        login = Login(pinned(record), paths)
        return lambda one: tunnel_to(login, one.pod)

    @asynccontextmanager
    async def pinned(self, record: Record, paths: Paths) -> AsyncIterator[Dialer]:
        """By way of the API server."""
        from paude.backends.kubernetes.recorded import connected
        from paude.backends.kubernetes.tunnels import pinned_to

        async with connected(record, paths) as cluster:
            yield pinned_to(cluster, record.pod)

    async def still_there(self, record: Record, paths: Paths) -> bool:
        """Its anchor tells."""
        from paude.backends.kubernetes import shared

        return await shared.still_there(record, paths)

    def bring_home(self, record: Record, paths: Paths) -> tuple[Plan, Node[Losses]]:
        """The same in every place."""
        from paude.backends.kubernetes.stop import Stop
        from paude.plans import stop
        from paude.plans.homecoming import Homecoming

        return stop.bring_home(Stop(record, paths), Homecoming(record, paths))

    def take_down(self, record: Record, paths: Paths, *, keep_volume: bool) -> Plan:
        """What protected the pod goes after it."""
        from paude.backends.kubernetes.stop import Stop
        from paude.plans import stop
        from paude.plans.homecoming import Homecoming

        return stop.take_down(Stop(record, paths), Homecoming(record, paths), keep_volume=keep_volume)

    def change(self, record: Record, paths: Paths, add: tuple[str, ...], remove: tuple[str, ...]) -> Plan:
        """Another proxy gets the address of the session."""
        from paude.backends.kubernetes.wall import Change
        from paude.plans import allow

        return allow.on_kubernetes(Change(record, paths, add, remove))

    def refresh(self, ends: BothEnds, contents: Mapping[str, Mapping[str, bytes]]) -> Plan:
        """The same in every place."""
        from paude.backends.kubernetes.renew import Renew
        from paude.plans import refresh

        return refresh.refresh(Renew(ends.record, ends.paths, contents), ends)
