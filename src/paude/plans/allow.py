"""`paude allow` and `paude deny`: another list for a session that runs, without stopping it.

The order is the protection. The new proxy takes the session before its address leads there, so no connection is lost
on the way; the old one is shut before it is started anew, so that no tunnel is opened again through it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from paude.backends.kubernetes import proxies
from paude.backends.kubernetes.wall import Change, Standing
from paude.egress import squid
from paude.engine import Plan
from paude.gate.client import Gate
from paude.gate.connect import gate_of
from paude.sessions import records


@dataclass(frozen=True)
class FromInside:
    """What only the session's own network can tell: which proxy can be reached."""

    change: Change

    @asynccontextmanager
    async def connect_gate(self, now: Standing) -> AsyncIterator[Gate | None]:
        """The gate of the session, if it runs."""
        if now.pod is None or self.change.idle(now):
            yield None
            return
        async with gate_of(now.pod, self.change.record.name, self.change.paths) as connection:
            yield Gate(connection)

    async def await_admission(self, now: Standing, gate: Gate | None, proxy: str) -> None:
        """Until the new proxy takes this session."""
        if gate is not None:
            await gate.await_proxy(proxy, self.change.digest(now))

    async def await_switch(self, now: Standing, gate: Gate | None) -> None:
        """Until the session's address leads to the new proxy."""
        if gate is not None:
            await gate.await_proxy(now.address, self.change.digest(now))

    async def await_shut(self, now: Standing, gate: Gate | None) -> None:
        """Until the old proxy does not take this session any more."""
        if gate is None:
            return
        for pod in await proxies.pods_of(now.cluster, now.serves):
            if address := (pod.get("status") or {}).get("podIP"):
                await gate.await_shut(str(address))

    async def remember(self, now: Standing) -> None:
        """The list in this machine's record."""
        wanted = self.change.wanted(now)
        record = replace(self.change.record, hosts=wanted.hosts, allowlist=squid.identity(wanted))
        records.save(self.change.paths, record)


def on_kubernetes(k: Change) -> Plan:
    """The plan of a change of the list."""
    inside = FromInside(k)
    title = "allow" if k.add else "deny"
    plan = Plan(title, remedy=f"paude {title} {' '.join((*k.add, *k.remove))} {k.record.name}")
    cluster = plan.step(k.connect)
    now = plan.step(k.look, cluster)
    gate = plan.step(inside.connect_gate, now)
    proxy = plan.step(k.roll_out_next, now)
    both = plan.step(k.open_both, now, proxy)
    admitted = plan.step(inside.await_admission, now, gate, proxy, after=[both])
    switched = plan.step(k.switch_address, now, after=[admitted])
    there = plan.step(inside.await_switch, now, gate, after=[switched])
    closed = plan.step(k.close_old, now, after=[there])
    shut = plan.step(inside.await_shut, now, gate, after=[closed])
    noted = plan.step(k.note, now, after=[closed])
    plan.step(inside.remember, now, after=[noted])
    plan.step(k.retire_old, now, after=[shut, noted])
    return plan
