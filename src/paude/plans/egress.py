"""`paude egress` and `paude blocked`: what a session may reach, and what was refused to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from paude.backends.base import Egress
from paude.egress.allowlist import Allowlist
from paude.egress.blocked import Denied
from paude.plans.places import place_of
from paude.sessions.records import Record
from paude.settings import Paths


async def egress(record: Record, paths: Paths) -> Egress:
    """Ask the place. Raises NotFound when the session has gone, UsageError when it has no wall."""
    async with place_of(record.backend).session(record, paths) as session:
        return await session.egress()


async def refused(record: Record, paths: Paths) -> tuple[Allowlist, list[Denied]]:
    """The list, and what was refused so far, the latest first. Raises NotFound when the session does not run."""
    async with place_of(record.backend).session(record, paths) as session:
        return await session.refused()


async def refused_as_they_come(record: Record, paths: Paths) -> AsyncGenerator[tuple[Allowlist, Denied], None]:
    """The list as it was at the beginning, and each refusal, those of the past first; ends with the caller."""
    async with place_of(record.backend).session(record, paths) as session:
        allowed = (await session.wall()).allowlist
        async with aclosing(session.refused_as_they_come()) as found:
            async for one in found:
                yield allowed, one
