"""`paude attach` from another laptop: the keys come by way of the cluster, and `--take-over` brings the sync along.

What the laptop before had not sent stays on it; what differs between this one's directory and the pod is a conflict.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from paude.engine import Plan
from paude.errors import NameTaken, UsageError
from paude.plans.laptop import Laptop
from paude.plans.look import glance
from paude.plans.perform import OpenDisplay
from paude.plans.places import place_of
from paude.plans.request import check_neighbours, sync_limits
from paude.plans.running import Recorder, committed
from paude.sessions import records
from paude.sessions.records import Record
from paude.sessions.states import SessionState
from paude.settings import Paths, read
from paude.ssh import session_keys, ssh_config
from paude.sync.selection import check_workspace

if TYPE_CHECKING:
    from paude.backends.kubernetes.kubeconfig import Target
    from paude.backends.kubernetes.stop import Stop


async def fetch(name: str, target: Target, paths: Paths) -> tuple[Record, str]:
    """Make a session of another laptop known on this one; gives its record, and whose it is.

    Raises NotFound where the cluster does not know it, and what reading Secrets may raise.
    """
    from paude.backends.kubernetes import cluster as clusters
    from paude.backends.kubernetes import shared

    with records.locked(paths, name):
        async with clusters.connected(target, paths) as cluster:
            found = await shared.find(cluster, name)
        session_keys.restore(paths.session(name), name, found.keys)
        records.save(paths, found.record)
        ssh_config.write(paths, records.names_of(paths))
    return found.record, found.owner


def directory_for(record: Record, workspace: Path, paths: Paths) -> Path:
    """The directory that is to be kept in step: the session's on this machine, for a guest the one that is named.

    Raises UsageError, NameTaken for one that another session has.
    """
    if not place_of(record.backend).remote:
        raise UsageError(f"{record.name} runs on this machine's podman: no other laptop has its sync")
    if not record.guest:
        return Path(record.workspace)
    found = check_workspace(workspace)
    check_neighbours(found, paths)
    for other in records.here(paths):
        if other.workspace == str(found):
            raise NameTaken(f"{found} belongs to the session {other.name}", hint=f"`paude stop {other.name}` first")
    return found


def plan_of(k: Stop, laptop: Laptop) -> Plan:
    """The graph: from the moment the gate knows the new owner, the other laptop's sync has ended."""
    plan = Plan("take over", remedy=f"paude attach {laptop.name} --take-over")
    cluster = plan.step(k.connect)
    keys = plan.step(laptop.make_keys)
    outgoing = plan.step(laptop.choose_what_goes_out)
    pod = plan.step(k.running_pod, cluster)
    gate = plan.step(laptop.connect_gate, pod, keys)
    taken = plan.step(laptop.take_sync_over, gate, after=[outgoing])
    record = plan.step(laptop.write_record, cluster, after=[taken])
    supervisor = plan.step(laptop.start_supervisor, after=[record])
    sync = plan.step(laptop.define_sync, outgoing, after=[supervisor])
    joined = plan.step(laptop.join_sync, outgoing, taken, after=[sync])
    plan.step(laptop.first_sync, after=[joined])
    return plan


async def take_over(
    record: Record, workspace: Path, paths: Paths, display: OpenDisplay, *, yes: bool, limit_s: float
) -> bool:
    """Keep `workspace` in step with the session from now on; `yes` agrees to whatever would be sent.

    False when the session is stopped: its next start from here does so then.
    Raises StepFailed or TimedOut; the command may be repeated.
    """
    from paude.backends.kubernetes.stop import Stop

    taken = replace(record, workspace=str(workspace), guest=False)
    limits = sync_limits(read(paths, workspace).values)
    agreed = None if yes else ()
    laptop = Laptop(taken, record.guest, paths, agreed, None if yes else 0, limits)
    with records.workspace_locked(paths, str(workspace)), records.locked(paths, record.name):
        if (await glance(record, paths)).state is SessionState.STOPPED:
            records.save(paths, replace(taken, claimed=True))
            return False
        plan = plan_of(Stop(record, paths), laptop)
        with display(plan) as emit:
            async with committed(plan, Recorder(emit), limit_s):
                pass
    return True
