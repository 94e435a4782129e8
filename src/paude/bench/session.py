"""A session that lives for a measurement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from paude.engine import Event, Plan
from paude.errors import PaudeError
from paude.plans.perform import OpenDisplay, start_session, take_down
from paude.plans.request import Gift, Wishes, prepare
from paude.sessions import names, records
from paude.sessions.records import Record
from paude.settings import Paths


@dataclass(frozen=True)
class Started:
    """A session that runs, and how its start went."""

    record: Record
    plan: Plan
    events: Sequence[Event]


@asynccontextmanager
async def started(
    wishes: Wishes, paths: Paths, display: OpenDisplay, *, limit_s: float, sequential: bool = False
) -> AsyncIterator[Started]:
    """A session with a name of its own and without credentials; nothing of it is left behind, Ctrl-C or not.

    Raises StepFailed or TimedOut when it does not start, or does not go.
    """
    prepared = prepare(replace(wishes, name=names.derive(Path("bench"))), paths, Gift())
    name = prepared.laptop.name
    try:
        plan, recorder = await start_session(prepared, display, limit_s=limit_s, sequential=sequential)
        record = records.load(paths, name)
        if not isinstance(record, Record):
            raise PaudeError(f"the record of session {name} has gone")
        yield Started(record, plan, recorder.events)
    finally:
        left = records.load(paths, name)
        if isinstance(left, Record):
            with anyio.CancelScope(shield=True):  # taking down has the limit
                await take_down(left, paths, display, keep_volume=False, limit_s=limit_s)
