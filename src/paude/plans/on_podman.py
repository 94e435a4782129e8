"""This machine's podman as the place of sessions."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paude.errors import UsageError

if TYPE_CHECKING:
    from paude.backends.base import Session
    from paude.backends.podman.containers import Mount
    from paude.backends.request import Request
    from paude.engine import Node, Plan
    from paude.plans.doctor import Check
    from paude.plans.homecoming import Losses
    from paude.plans.laptop import Laptop
    from paude.plans.places import Ways
    from paude.plans.refresh import BothEnds
    from paude.plans.request import Wishes
    from paude.sessions.records import Record
    from paude.settings import Paths, Settings
    from paude.tunnel.base import Dialer


class OnPodman:
    """Podman: `places.Place`."""

    remote = False

    async def examine(self, settings: Settings, paths: Paths) -> list[Check]:
        """That it works."""
        from paude.plans import doctor

        return await doctor.of_podman()

    def pod(self, name: str) -> str:
        """The agent's container."""
        from paude.backends.podman.containers import name_of

        return name_of(name, "agent")

    def request(self, asked: Request, wishes: Wishes, record: Record, resumed: Record | None) -> Request:
        """With the workspace itself, where the session has it."""
        from paude.backends.podman.start import Request

        return Request(**vars(asked), mount=_mount(asked.workspace) if record.mounted else None)

    def start(self, request: Request, laptop: Laptop) -> Plan:
        """The wall is a network that never had a way out."""
        from paude.backends.podman.start import Request, Start
        from paude.plans import start

        assert isinstance(request, Request)
        return start.on_podman(Start(request, laptop.paths), laptop)

    async def manifests(self, request: Request, *, ids_assigned: bool) -> list[dict[str, Any]]:
        """There are none."""
        raise UsageError("a session on Podman has no manifests", hint="give --backend kubernetes or openshift")

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

    def take_down(self, record: Record, paths: Paths, *, keep_volume: bool, keep_name: bool = True) -> Plan:
        """What the containers used goes after them. The name is the volume's."""
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


def _mount(workspace: Path) -> Mount:
    """The workspace as it is mounted: the agent's user is its owner, and never root."""
    from paude.backends.podman.containers import Mount

    owner, user = workspace.stat(), os.geteuid()
    if user not in {0, owner.st_uid} or owner.st_uid == 0:
        raise UsageError(
            f"{workspace} cannot be mounted: its owner is {'root' if owner.st_uid == 0 else 'somebody else'}",
            why="the agent works as the directory's owner, and never as root",
            hint="without --mount it works on a copy, which is kept in step",
        )
    return Mount(str(workspace), owner.st_uid, owner.st_gid, keep_id=user != 0)
