"""`paude egress` and `paude blocked`: what a session may reach, and what was refused to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from paude.backends.base import PODMAN
from paude.egress.allowlist import Allowlist
from paude.egress.blocked import Denied
from paude.sessions.records import Record
from paude.settings import Paths


@dataclass(frozen=True)
class Egress:
    """What lets a session out: `allowlist` is the list, `serves` its digest and `proxy` the proxy's name (both empty
    for a session that is stopped), `address` where the session finds it, `shared_by` the sessions that use it too."""

    allowlist: Allowlist
    serves: str
    proxy: str
    address: str
    shared_by: Sequence[str] = ()


async def egress(record: Record, paths: Paths) -> Egress:
    """Ask the place. Raises NotFound when the session has gone, UsageError when it has no wall."""
    if record.backend == PODMAN:
        from paude.backends.podman import engine, wall
        from paude.backends.podman.containers import PROXY_PART, name_of

        here = await wall.standing(await engine.connect(), record)
        name = name_of(record.name, PROXY_PART) if here.proxies else ""
        return Egress(here.allowlist, here.serves, name, here.address, [record.name] if name else [])
    from paude.backends.kubernetes import manifests, proxies
    from paude.backends.kubernetes.recorded import connected
    from paude.backends.kubernetes.wall import standing

    async with connected(record, paths) as cluster:
        now = await standing(cluster, record)
        if not now.serves:
            return Egress(now.allowlist, "", "", now.address)
        shared = await proxies.users(cluster, now.serves)
    return Egress(now.allowlist, now.serves, manifests.proxy_name(now.serves), now.address, shared)


async def refused(record: Record, paths: Paths) -> tuple[Allowlist, list[Denied]]:
    """The list, and what was refused so far, the latest first. Raises NotFound when the session does not run."""
    if record.backend == PODMAN:
        from paude.backends.podman import engine, wall
        from paude.backends.podman import refusals as of_podman

        podman = await engine.connect()
        allowed = (await wall.standing(podman, record)).allowlist
        return allowed, await of_podman.so_far(podman, record)
    from paude.backends.kubernetes import refusals
    from paude.backends.kubernetes.recorded import connected
    from paude.backends.kubernetes.wall import standing

    async with connected(record, paths) as cluster:
        now = await standing(cluster, record)
        client = await refusals.client_of(cluster, record)
        return now.allowlist, await refusals.so_far(cluster, now.serves, client)


async def refused_as_they_come(record: Record, paths: Paths) -> AsyncIterator[tuple[Allowlist, Denied]]:
    """The list as it was at the beginning, and each refusal, those of the past first; ends with the caller."""
    if record.backend == PODMAN:
        from paude.backends.podman import engine, wall
        from paude.backends.podman import refusals as of_podman

        podman = await engine.connect()
        allowed = (await wall.standing(podman, record)).allowlist
        async for one in of_podman.as_they_come(podman, record):
            yield allowed, one
        return
    from paude.backends.kubernetes import refusals
    from paude.backends.kubernetes.recorded import connected
    from paude.backends.kubernetes.wall import standing

    async with connected(record, paths) as cluster:
        allowed = (await standing(cluster, record)).allowlist
        client = await refusals.client_of(cluster, record)
        async for one in refusals.as_they_come(cluster, client):
            yield allowed, one
