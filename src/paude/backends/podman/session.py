"""One session on this machine's podman: `backends.base.Session`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from paude.backends.base import Egress
from paude.backends.podman import listing, pods, refusals, wall
from paude.backends.podman.containers import PROXY_PART, name_of
from paude.backends.podman.engine import Engine
from paude.backends.podman.pods import Pod
from paude.backends.podman.wall import Standing
from paude.egress.allowlist import Allowlist
from paude.egress.blocked import Denied
from paude.sessions.records import Record
from paude.sessions.states import Seen


@dataclass(frozen=True)
class Session:
    """The session of one record."""

    engine: Engine
    record: Record

    async def find_pod(self) -> Pod | None:
        """Its containers, if its gate runs."""
        return await pods.running(self.engine, self.record)

    async def seen(self, gate: Mapping[str, object] | None = None) -> Seen:
        """Its state, by its containers."""
        return listing.seen(self.record.name, await listing.containers_of(self.engine, self.record.uid), gate)

    async def warnings(self) -> tuple[str, ...]:
        """None: nobody else can open a network that never had a way out."""
        return ()

    async def wall(self) -> Standing:
        """By its volume and its proxies."""
        return await wall.standing(self.engine, self.record)

    async def egress(self) -> Egress:
        """Its proxy is its own."""
        now = await self.wall()
        name = name_of(self.record.name, PROXY_PART) if now.proxies else ""
        return Egress(now.allowlist, now.serves, name, now.address, [self.record.name] if name else [])

    async def refused(self) -> tuple[Allowlist, list[Denied]]:
        """By the logs of its proxies, which are about nobody else."""
        allowed = (await self.wall()).allowlist
        return allowed, await refusals.so_far(self.engine, self.record)

    def refused_as_they_come(self) -> AsyncGenerator[Denied, None]:
        """By the logs of its proxies, also of those to come."""
        return refusals.as_they_come(self.engine, self.record)

    async def log(self, container: str, tell: Callable[[str], None], *, follow: bool, previous: bool) -> None:
        """As podman has it; there is no container before this one."""
        await self.engine.logs(name_of(self.record.name, container), tell, follow=follow)
