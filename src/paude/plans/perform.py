"""Doing what a verb asks: prepare, run the plan with its events going to a display, remember the outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import anyio.to_thread

from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.engine import Plan
from paude.engine.events import Emit
from paude.errors import NameTaken, NotFound, PaudeError, WorkWouldBeLost
from paude.plans import refresh
from paude.plans.owner import kept_elsewhere
from paude.plans.places import place_of
from paude.plans.request import Gift, Prepared, trusting
from paude.plans.running import Recorder, committed
from paude.sessions import progress, records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh import ssh_config
from paude.supervisor import client as supervisor

OpenDisplay = Callable[[Plan], AbstractContextManager[Emit]]


def start_plan(prepared: Prepared) -> Plan:
    """The graph of a start."""
    return place_of(prepared.laptop.record.backend).start(prepared.request, prepared.laptop)


async def manifests_of(prepared: Prepared, *, ids_assigned: bool) -> list[dict[str, Any]]:
    """The objects of a start, without a cluster and without secrets. Raises UsageError where there are none."""
    place = place_of(prepared.laptop.record.backend)
    return await place.manifests(prepared.request, ids_assigned=ids_assigned)


async def start_session(
    prepared: Prepared, display: OpenDisplay, *, limit_s: float, sequential: bool = False
) -> tuple[Plan, Recorder]:
    """Start, or resume; the session is in the records when this returns. Gives the plan and its events.

    Raises StepFailed or TimedOut; everything that this run made is taken back then.
    """
    laptop = prepared.laptop
    await anyio.to_thread.run_sync(records.sweep, laptop.paths)
    workspace = laptop.record.workspace
    with records.workspace_locked(laptop.paths, workspace), records.locked(laptop.paths, laptop.name):
        stale = _still_so(prepared)
        if stale is not None and stale.server:
            await take_down(stale, laptop.paths, display, keep_volume=False, limit_s=limit_s)
        plan = start_plan(prepared)
        try:
            with display(plan) as emit:
                recorder = Recorder(emit, progress.file_of(laptop.paths, laptop.name))
                async with committed(plan, recorder, limit_s, sequential=sequential):
                    await anyio.to_thread.run_sync(_commit, laptop.paths, laptop.name)
                    await supervisor.ensure(laptop.paths)  # it may have been killed since the last step that needed it
        finally:
            if records.load(laptop.paths, laptop.name) is None:
                records.forget(laptop.paths, laptop.name)  # the lines for others may have been all there was
    return plan, recorder


def _still_so(prepared: Prepared) -> Record | None:
    """The killed start that goes first, as it is now that the locks are held; what was prepared counts no more.

    Raises NameTaken when another start took the directory or the name meanwhile, NotFound when the session that was
    to be resumed was ended.
    """
    laptop, found = prepared.laptop, None
    if not laptop.fresh:
        now = records.load(laptop.paths, laptop.name)
        if not isinstance(now, Record) or now.uid != laptop.record.uid:
            raise NotFound(f"the session {laptop.name} was ended meanwhile", hint="`paude start` again makes another")
        return None
    for record in records.load_all(laptop.paths):
        if not isinstance(record, Record) or (record.guest and record.name != laptop.name):
            continue
        if prepared.stale is not None and record.uid == prepared.stale.uid and not record.committed:
            found = record
        elif record.name == laptop.name or record.workspace == laptop.record.workspace:
            raise NameTaken(
                f"{record.workspace} belongs to the session {record.name} by now", hint=f"`paude attach {record.name}`"
            )
    return found


def _commit(paths: Paths, name: str) -> None:
    record = records.load(paths, name)
    if not isinstance(record, Record):
        raise PaudeError(f"the record of session {name} has gone while it was started")
    records.save(paths, replace(record, committed=True, claimed=False))


async def stop_session(
    record: Record, paths: Paths, display: OpenDisplay, *, keep_volume: bool, discard: bool, limit_s: float
) -> tuple[str, ...]:
    """Stop; gives what would have been lost with the volume, which is kept then.

    Raises WorkWouldBeLost where it cannot be kept, NameTaken where another laptop would have to bring the work home.
    """
    losses: tuple[str, ...] = ()
    place = place_of(record.backend)
    if record.guest and not discard and await place.still_there(record, paths):
        hint = f"stop it there, or `paude attach {record.name} --take-over` here first; --discard deletes it"
        raise kept_elsewhere(record.name, hint=hint)
    if record.committed and not (discard or record.mounted or record.guest):
        losses = await _bring_home(record, paths, display, limit_s)
        if losses and not await place.still_there(record, paths):
            losses = ()  # another laptop has ended it, and what there was is there
    if record.volume == "emptydir":
        keep_volume = False
        if losses:
            raise WorkWouldBeLost(
                f"{record.name} was parked, and nothing was deleted: its volume dies with its pod",
                why="\n".join(losses),
                hint=f"`paude start` releases it; `paude stop {record.name} --discard` deletes it all the same",
            )
    await take_down(record, paths, display, keep_volume=keep_volume or bool(losses), limit_s=limit_s)
    return losses


async def _bring_home(record: Record, paths: Paths, display: OpenDisplay, limit_s: float) -> tuple[str, ...]:
    plan, judged = place_of(record.backend).bring_home(record, paths)
    with display(plan) as emit:
        async with committed(plan, Recorder(emit), limit_s) as outputs:
            return outputs[judged].sentences


async def change_list(
    record: Record, paths: Paths, display: OpenDisplay, *, add: tuple[str, ...], remove: tuple[str, ...], limit_s: float
) -> tuple[Allowlist, Allowlist]:
    """Add hosts to a session's list, or take some off it, while it runs; the list before and after.

    Raises StepFailed or TimedOut; the command may be repeated then.
    """
    with records.held(paths, record) as current:
        plan = place_of(current.backend).change(current, paths, add, remove)
        with display(plan) as emit:
            async with committed(plan, Recorder(emit), limit_s) as outputs:
                before: Allowlist = outputs[plan["look"]].allowlist
    return before, before.with_(add).without(remove)


async def refresh_credentials(
    record: Record, paths: Paths, gift: Gift, display: OpenDisplay, *, limit_s: float
) -> None:
    """Give a session other credentials while it runs; the command may be repeated. Raises StepFailed or TimedOut."""
    with records.held(paths, record) as current:
        plan = _refresh_plan(current, paths, gift)
        with display(plan) as emit:
            async with committed(plan, Recorder(emit), limit_s):
                pass


def _refresh_plan(record: Record, paths: Paths, gift: Gift) -> Plan:
    gift = trusting(gift, Company.from_json(record.company))
    ends = refresh.BothEnds(record, paths, gift)
    contents = {"credentials": gift.files, "kept": gift.kept}
    return place_of(record.backend).refresh(ends, contents)


async def take_down(
    record: Record,
    paths: Paths,
    display: OpenDisplay,
    *,
    keep_volume: bool,
    keep_name: bool = True,
    limit_s: float,
) -> None:
    """Remove the session from the cluster and, without its volume, from the records. May be repeated.

    A volume that is kept keeps the name, unless there is none.
    """
    if not record.server:
        records.forget(paths, record.name)  # it was killed before it reached the cluster
        ssh_config.write(paths, records.names_of(paths))
        return
    plan = place_of(record.backend).take_down(record, paths, keep_volume=keep_volume, keep_name=keep_name)
    with display(plan) as emit:
        async with committed(plan, Recorder(emit), limit_s):
            pass
