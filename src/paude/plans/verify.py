"""`paude verify`: the fence's whole battery, now, from inside the session's network."""

from __future__ import annotations

from dataclasses import dataclass

from paude.errors import NotFound
from paude.gate.client import Gate, Probe
from paude.gate.connect import gate_of
from paude.plans.places import place_of
from paude.sessions.records import Record
from paude.settings import Paths


@dataclass(frozen=True)
class Proof:
    """What every probe saw."""

    session: str
    probes: tuple[Probe, ...]

    def seen(self, result: str) -> tuple[Probe, ...]:
        """The probes with that result."""
        return tuple(probe for probe in self.probes if probe.result == result)


async def prove(record: Record, paths: Paths) -> Proof:
    """Make every probe. Raises NotFound when the session's gate does not run, UsageError when it has no wall."""
    async with place_of(record.backend).session(record, paths) as session:
        now = await session.wall()
        if now.pod is None:
            raise NotFound(f"the gate of {record.name} does not run", hint="see `paude status`")
        # A name for what is tried through the proxy; behind a wildcard nobody knows which names there are.
        host = next(iter(now.allowlist.exact), "")
        async with gate_of(now.pod, record.name, paths) as connection:
            return Proof(record.name, await Gate(connection).verify(host))
