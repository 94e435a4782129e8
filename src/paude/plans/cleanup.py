"""`paude cleanup`: which sessions have had their time, and ending them the way `paude stop` does.

The gate parks a session in the cluster without any right at the API; what is left of it there goes with its owner's
next command. Nothing is discarded here: where work would be lost the volume stays. That of a session which another
machine started always does: whether its work is at home cannot be known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from paude.backends.base import Listed
from paude.errors import PaudeError
from paude.plans.listing import listing
from paude.plans.look import glance
from paude.plans.perform import OpenDisplay, stop_session, take_down
from paude.sessions import records
from paude.sessions.records import Record
from paude.sessions.states import Seen, SessionState, timed_out
from paude.settings import Paths

NAME_ALONE_S = 24 * 3600.0  # a start that is under way has a name first, and its volume and pod a moment later
PATIENCE_S = 5.0  # a cluster that does not answer must not hold up the others


@dataclass(frozen=True)
class Stale:
    """A session that has had its time, and why; `older_than_s` is the age by which it was judged, if one was.

    `owner` is whose it is, where this machine did not start it; `keeps`: it has a volume, which stays then.
    """

    record: Record
    why: str
    older_than_s: float | None = None
    owner: str = ""
    keeps: bool = True


@dataclass
class Survey:
    """What was found stale, which sessions could not be looked at, and whose were passed over."""

    stale: list[Stale] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    others: tuple[str, ...] = ()


def judge(record: Record, seen: Seen, now: datetime, older_than_s: float | None) -> str:
    """Why the session has had its time; "" when it has not, or when nothing of it is left but a volume."""
    if not record.committed:
        return "its start was killed"
    if seen.state is SessionState.STOPPED:
        return ""
    if timed_out(seen):
        return seen.reason
    return _aged(record, now, older_than_s)


def judge_elsewhere(one: Listed, now: datetime, older_than_s: float | None) -> str:
    """The same of a session that another machine started, which is not there to take its agent up again."""
    if one.seen.state is SessionState.STOPPED:
        old = _aged(_recorded(one), now, NAME_ALONE_S if older_than_s is None else older_than_s)
        return "nothing but its name is left" if old and not one.keeps else ""
    if one.seen.state in {SessionState.PARKED, SessionState.OPEN}:
        return one.seen.reason or "parked"
    return _aged(_recorded(one), now, older_than_s)


def _aged(record: Record, now: datetime, older_than_s: float | None) -> str:
    if older_than_s is not None and now - record.created > timedelta(seconds=older_than_s):
        return f"older than {timedelta(seconds=older_than_s)}"
    return ""


def _recorded(one: Listed) -> Record:
    """As this machine would know it, had it the keys: a guest."""
    return Record(
        name=one.name,
        uid=one.uid,
        backend=one.backend,
        workspace=one.workspace,
        agent=one.agent,
        created_at=one.created_at,
        server=one.location.server,
        namespace=one.location.namespace,
        user=one.location.user,
        kubeconfig=tuple(one.location.kubeconfig),
        committed=True,
        guest=True,
    )


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


async def survey_elsewhere(paths: Paths, owner: str, *, older_than_s: float | None = None) -> Survey:
    """The owner's sessions that this machine did not start or has forgotten, in every place that it knows."""
    seen = await listing(paths)
    here = {record.uid for record in records.here(paths)}
    unknown = [one for one in seen.sessions if one.uid not in here]
    now = datetime.now(UTC)
    found = Survey(troubles=seen.troubles, others=tuple(sorted({one.owner for one in unknown} - {owner})))
    for one in sorted(unknown, key=lambda one: one.name):
        why = judge_elsewhere(one, now, older_than_s) if one.owner == owner else ""
        if why and (one.keeps or one.seen.state is SessionState.STOPPED):
            found.stale.append(Stale(_recorded(one), why, older_than_s, owner, one.keeps))
        elif why:
            found.troubles.append(f"{one.name} stays ({why}): its files would die with its pod")
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


async def end_elsewhere(
    stale: Iterable[Stale], paths: Paths, display: OpenDisplay, tell: Callable[[str], None], *, limit_s: float
) -> list[PaudeError]:
    """Remove all of them but volumes and the names of these, one after the other; gives the errors of what resisted."""
    failed = []
    for one in stale:
        name = one.record.name
        try:
            with records.locked(paths, name):
                again = await survey_elsewhere(paths, one.owner, older_than_s=one.older_than_s)
                known = next((other for other in again.stale if other.record.uid == one.record.uid), None)
                if known is None:
                    continue  # somebody else ended it, or goes on with it
                await take_down(one.record, paths, display, keep_volume=True, keep_name=known.keeps, limit_s=limit_s)
        except PaudeError as error:
            tell(f"{name} was not removed: {error}")
            failed.append(error)
            continue
        tell(f"{name} has ended ({one.why}){'; its volume was kept' if known.keeps else ''}")
    return failed


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
