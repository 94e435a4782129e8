"""`paude allow` and `paude deny`: another list for a session that runs, without stopping it.

The order is the protection. The new proxy takes the session before its address leads there, so no connection is lost
on the way; the old one is shut before it is started anew, so that no tunnel is opened again through it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from paude.backends.base import Wall
from paude.backends.change import Change
from paude.engine import Plan
from paude.gate.client import Gate
from paude.gate.connect import gate_of
from paude.sessions import records
from paude.sessions.records import Record

if TYPE_CHECKING:
    from paude.backends.kubernetes.wall import Change as ClusterChange
    from paude.backends.kubernetes.wall import Standing
    from paude.backends.podman.wall import Change as PodmanChange
    from paude.backends.podman.wall import Next
    from paude.backends.podman.wall import Standing as PodmanStanding

UNDO_S = 15.0


@dataclass(frozen=True)
class FromInside:
    """What only the session's own network can tell: which proxy can be reached."""

    change: Change

    @asynccontextmanager
    async def connect_gate(self, now: Wall) -> AsyncIterator[Gate | None]:
        """The gate of the session, if it runs."""
        if now.pod is None or self.change.idle(now):
            yield None
            return
        async with gate_of(now.pod, self.change.record.name, self.change.paths) as connection:
            yield Gate(connection)

    async def await_switch(self, now: Wall, gate: Gate | None) -> None:
        """Until the session's address leads to the new proxy."""
        if gate is not None:
            await gate.await_proxy(now.address, self.change.digest(now))

    async def remember(self, now: Wall) -> None:
        """The list in this machine's record."""
        wanted = self.change.wanted(now)
        record = replace(self.change.record, hosts=wanted.hosts, allowlist=self.change.digest(now))
        records.save(self.change.paths, record)


@dataclass(frozen=True)
class FromPod(FromInside):
    """The same in a pod, which can reach the old proxy and the new one by addresses of their own."""

    async def await_admission(self, now: Standing, gate: Gate | None, proxy: str) -> None:
        """Until the new proxy takes this session."""
        if gate is not None:
            await gate.await_proxy(proxy, self.change.digest(now))

    async def await_shut(self, now: Standing, gate: Gate | None) -> None:
        """Until the old proxy does not take this session any more."""
        from paude.backends.kubernetes import proxies

        if gate is None:
            return
        for pod in await proxies.pods_of(now.cluster, now.serves):
            if address := (pod.get("status") or {}).get("podIP"):
                await gate.await_shut(str(address))


@dataclass(frozen=True)
class Beside(FromInside):
    """The same on one machine, where a new proxy that does not come up would never be seen from inside."""

    podman: PodmanChange

    async def await_takeover(self, now: PodmanStanding, gate: Gate | None, following: Next | None) -> None:
        """Until the new proxy has the session; if it ends before, it is taken away and the old one goes on."""
        if gate is None or following is None:
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(following.until_ended)
                await self.await_switch(now, gate)
                tasks.cancel_scope.cancel()
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S):
                await self.podman.give_up(now)
            raise


def on_kubernetes(k: ClusterChange) -> Plan:
    """The plan of a change of the list."""
    inside = FromPod(k)
    plan = _plan(k.record, k.add, k.remove)
    cluster = plan.step(k.connect)
    now = plan.step(k.look, cluster)
    gate = plan.step(inside.connect_gate, now)
    proxy = plan.step(k.roll_out_next, now)
    both = plan.step(k.open_both, now, after=[proxy])
    admitted = plan.step(inside.await_admission, now, gate, proxy, after=[both])
    switched = plan.step(k.switch_address, now, after=[admitted])
    there = plan.step(inside.await_switch, now, gate, after=[switched])
    closed = plan.step(k.close_old, now, after=[there])
    shut = plan.step(inside.await_shut, now, gate, after=[closed])
    noted = plan.step(k.note, now, after=[closed])
    plan.step(inside.remember, now, after=[noted])
    plan.step(k.retire_old, now, after=[shut, noted])
    return plan


def on_podman(p: PodmanChange) -> Plan:
    """The same on Podman: the old proxy, and every tunnel through it, ends when the new one has the session."""
    inside = Beside(p, p)
    plan = _plan(p.record, p.add, p.remove)
    podman = plan.step(p.connect)
    now = plan.step(p.look, podman)
    gate = plan.step(inside.connect_gate, now)
    following = plan.step(p.run_next, now)
    taken = plan.step(inside.await_takeover, now, gate, following)
    retired = plan.step(p.retire_old, now, following, after=[taken])
    plan.step(inside.await_switch, now, gate, after=[retired])
    plan.step(inside.remember, now, after=[retired])
    return plan


def _plan(record: Record, add: tuple[str, ...], remove: tuple[str, ...]) -> Plan:
    title = "allow" if add else "deny"
    return Plan(title, remedy=f"paude {title} {' '.join((*add, *remove))} {record.name}")
