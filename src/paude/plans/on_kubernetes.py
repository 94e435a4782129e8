"""A namespace of a cluster as the place of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paude.sessions import records

if TYPE_CHECKING:
    from paude.backends.base import Session
    from paude.backends.request import Request
    from paude.engine import Node, Plan
    from paude.images.reference import RegistryTarget
    from paude.plans.doctor import Check
    from paude.plans.homecoming import Losses
    from paude.plans.laptop import Laptop
    from paude.plans.places import Ways
    from paude.plans.refresh import BothEnds
    from paude.plans.request import Wishes
    from paude.sessions.records import Record
    from paude.settings import Paths, Settings
    from paude.tunnel.base import Dialer


class OnKubernetes:
    """Kubernetes and OpenShift: `places.Place`."""

    remote = True

    async def examine(self, settings: Settings, paths: Paths) -> list[Check]:
        """The cluster, the namespace, and what is in it."""
        from paude.plans import doctor

        return await doctor.of_cluster(settings, paths)

    def pod(self, name: str) -> str:
        """The one pod of its StatefulSet."""
        from paude.backends.kubernetes.pods import pod_name

        return pod_name(name)

    def request(self, asked: Request, wishes: Wishes, record: Record, resumed: Record | None) -> Request:
        """With the cluster: a session that is taken up again stays in its own, unless the command itself says else."""
        from paude.backends.kubernetes.start import Request

        settings = wishes.settings
        return Request(
            **vars(asked),
            kubeconfigs=_kubeconfigs(wishes, resumed),
            context=_stays(wishes, "context", settings.context, resumed),
            namespace=_stays(wishes, "namespace", settings.namespace, resumed),
            registry=_registry(settings),
            create_namespace=wishes.create_namespace,
            resumes=resumed,
            remembered=records.portable(record),
        )

    def start(self, request: Request, laptop: Laptop) -> Plan:
        """The wall is rules that have to be in force in time."""
        from paude.backends.kubernetes.start import Request, Start
        from paude.plans import start

        assert isinstance(request, Request)
        firewall = request.settings.egress.firewall and request.walled
        return start.on_kubernetes(Start(request, laptop.paths), laptop, firewall=firewall)

    async def manifests(self, request: Request, *, ids_assigned: bool) -> list[dict[str, Any]]:
        """Without a cluster."""
        from paude.backends.kubernetes import emitted
        from paude.backends.kubernetes.start import Request

        assert isinstance(request, Request)
        return await emitted.objects(request, ids_assigned=ids_assigned)

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
        """By way of the API server; the libraries for its requests are not loaded."""
        from paude.backends.kubernetes.kubeconfig import pinned
        from paude.backends.kubernetes.login import Login
        from paude.backends.kubernetes.tunnels import pinned_to

        login = Login(pinned(record), paths)
        await login.access()  # without one there is nothing to wait for
        yield pinned_to(login, record.pod)

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

    def take_down(self, record: Record, paths: Paths, *, keep_volume: bool, keep_name: bool = True) -> Plan:
        """What protected the pod goes after it."""
        from paude.backends.kubernetes.stop import Stop
        from paude.plans import stop
        from paude.plans.homecoming import Homecoming

        home = Homecoming(record, paths)
        return stop.take_down(Stop(record, paths), home, keep_volume=keep_volume, keep_name=keep_name)

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


def _stays(wishes: Wishes, setting: str, value: str, resumed: Record | None) -> str | None:
    return value if value and (resumed is None or wishes.typed(setting)) else None


def _registry(settings: Settings) -> RegistryTarget | None:
    from paude.images.reference import RegistryTarget

    if not settings.registry:
        return None
    return RegistryTarget(settings.registry, ca_file=Path(settings.registry_ca) if settings.registry_ca else None)


def _kubeconfigs(wishes: Wishes, resumed: Record | None) -> tuple[Path, ...]:
    from paude.backends.kubernetes import kubeconfig

    if not wishes.typed("kubeconfig") and resumed is not None and resumed.kubeconfig:
        return tuple(Path(file) for file in resumed.kubeconfig)
    return kubeconfig.files_of(wishes.settings)
