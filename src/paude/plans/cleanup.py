"""`paude cleanup`: which sessions have had their time, and ending them the way `paude stop` does.

The gate parks a session in the cluster without any right at the API; what is left of it there goes with its owner's
next command. Nothing is discarded here: where work would be lost the volume stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from paude.errors import PaudeError
from paude.plans.look import glance
from paude.plans.perform import OpenDisplay, stop_session
from paude.sessions import records
from paude.sessions.records import Record
from paude.sessions.states import Seen, SessionState, timed_out
from paude.settings import Paths

PATIENCE_S = 5.0  # a cluster that does not answer must not hold up the others


@dataclass(frozen=True)
class Stale:
    """A session that has had its time, and why; `older_than_s` is the age by which it was judged, if one was."""

    record: Record
    why: str
    older_than_s: float | None = None


@dataclass
class Survey:
    """What was found stale, and which sessions could not be looked at."""

    stale: list[Stale] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def judge(record: Record, seen: Seen, now: datetime, older_than_s: float | None) -> str:
    """Why the session has had its time; "" when it has not, or when nothing of it is left but a volume."""
    if not record.committed:
        return "its start was killed"
    if seen.state is SessionState.STOPPED:
        return ""
    if timed_out(seen):
        return seen.reason
    if older_than_s is not None and now - record.created > timedelta(seconds=older_than_s):
        return f"older than {timedelta(seconds=older_than_s)}"
    return ""


async def survey(paths: Paths, *, older_than_s: float | None = None, but: Iterable[str] = ()) -> Survey:
    """Look at every session of this machine except `but`, all at once; those of other laptops are theirs to end."""
    found = Survey()
    spared = set(but)

    async def look(record: Record) -> None:
        name = record.name
        # Only a start that was killed is told from one that is under way by its lock. Whoever stops or resumes another
        # session at this moment must not find that one locked; `end` judges again under the lock.
        lock = nullcontext() if record.committed else records.locked(paths, name)
        try:
            with anyio.fail_after(PATIENCE_S), lock:
                stale = await _judged(paths, name, older_than_s)
        except (PaudeError, TimeoutError) as error:
            found.troubles.append(f"{name}: {error or 'no answer'}")
            return
        if stale is not None:
            found.stale.append(stale)

    async with anyio.create_task_group() as tasks:
        for record in records.here(paths):
            if record.name not in spared:
                tasks.start_soon(look, record)
    found.stale.sort(key=lambda one: one.record.name)
    return found


async def _judged(paths: Paths, name: str, older_than_s: float | None) -> Stale | None:
    """The session as it is now, if it has had its time. What is to be acted upon is asked under its lock.

    Whoever had the lock before may have changed everything: a start that was under way is done by now, a session
    that was parked runs again.
    """
    record = records.load(paths, name)
    if not isinstance(record, Record):
        return None
    seen = await glance(record, paths) if record.server else Seen(SessionState.STOPPED)
    why = judge(record, seen, datetime.now(UTC), older_than_s)
    return Stale(record, why, older_than_s) if why else None


async def end(
    stale: Iterable[Stale],
    paths: Paths,
    display: OpenDisplay,
    tell: Callable[[str], None],
    *,
    keep_volume: bool,
    limit_s: float,
) -> list[PaudeError]:
    """Bring their work home and remove them, one after the other; gives the errors of those that resisted."""
    failed = []
    for one in stale:
        name = one.record.name
        try:
            with records.locked(paths, name):
                now = await _judged(paths, name, one.older_than_s)
                if now is None:
                    continue  # somebody else ended it, or goes on with it
                losses = await stop_session(
                    now.record, paths, display, keep_volume=keep_volume, discard=False, limit_s=limit_s
                )
        except PaudeError as error:
            tell(f"{name} was not removed: {error}")
            failed.append(error)
            continue
        kept = f"; its volume was kept: {'; '.join(losses)}" if losses else ""
        tell(f"{name} has ended ({one.why}){kept}")
    return failed
