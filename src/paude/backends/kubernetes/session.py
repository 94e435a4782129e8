"""One session on a cluster, with the connection to its cluster open: `backends.base.Session`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from paude.backends.base import Egress
from paude.backends.kubernetes import manifests, pods, proxies, refusals, wall
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.pods import Pod
from paude.backends.kubernetes.wall import Standing
from paude.egress.allowlist import Allowlist
from paude.egress.blocked import Denied
from paude.sessions.records import Record
from paude.sessions.states import Seen, derive


@dataclass(frozen=True)
class Session:
    """The session of one record."""

    cluster: Cluster
    record: Record

    async def find_pod(self) -> Pod | None:
        """Its pod, if its gate runs."""
        return await pods.running(self.cluster, self.record)

    async def seen(self, gate: Mapping[str, object] | None = None) -> Seen:
        """Its state, by its pod's status."""
        return derive(await self.cluster.get("Pod", pods.pod_name(self.record.name)), gate)

    async def warnings(self) -> tuple[str, ...]:
        """That it has no wall, or what policies of others open."""
        return await wall.warnings_of(self.cluster, self.record)

    async def wall(self) -> Standing:
        """By its anchor and its Service."""
        return await wall.standing(self.cluster, self.record)

    async def egress(self) -> Egress:
        """With whoever else uses its proxy."""
        now = await self.wall()
        if not now.serves:
            return Egress(now.allowlist, "", "", now.address)
        shared = await proxies.users(self.cluster, now.serves)
        return Egress(now.allowlist, now.serves, manifests.proxy_name(now.serves), now.address, shared)

    async def refused(self) -> tuple[Allowlist, list[Denied]]:
        """By the log of its proxy, where its pod's address stands."""
        now = await self.wall()
        client = await refusals.client_of(self.cluster, self.record)
        return now.allowlist, await refusals.so_far(self.cluster, now.serves, client)

    async def refused_as_they_come(self) -> AsyncGenerator[Denied, None]:
        """By the logs of every proxy there is."""
        client = await refusals.client_of(self.cluster, self.record)
        async with aclosing(refusals.as_they_come(self.cluster, client)) as found:
            async for one in found:
                yield one

    async def log(self, container: str, tell: Callable[[str], None], *, follow: bool, previous: bool) -> None:
        """As the API server has it."""
        pod = pods.pod_name(self.record.name)
        async with aclosing(pods.log_lines(self.cluster, pod, container, follow=follow, previous=previous)) as lines:
            async for line in lines:
                tell(line)
