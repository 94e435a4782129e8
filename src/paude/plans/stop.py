"""`paude stop`: bring the work home, end the agent, then take away what was around it.

Two plans, because what the first one finds decides the second: whether the volume may go. Protection is an edge here
too: the pod is gone before its policy, its secrets and its volume go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paude.engine import Node, Plan
from paude.plans.homecoming import Homecoming, Losses
from paude.plans.places import Steps

if TYPE_CHECKING:
    from paude.backends.kubernetes.stop import Stop
    from paude.backends.podman.stop import Stop as PodmanStop

P = TypeVar("P")


def bring_home(k: Steps[P], home: Homecoming) -> tuple[Plan, Node[Losses]]:
    """Commits first, while the agent's git can be asked; then the agent is parked, and what it wrote is flushed."""
    plan = Plan("bring the work home")
    cluster = plan.step(k.connect)
    pod = plan.step(k.find_pod, cluster)
    fetched = plan.step(home.fetch_history, pod)
    parked = plan.step(home.park_agent, pod, after=[fetched])
    flushed = plan.step(home.flush_sync, pod, after=[parked])
    plan.step(home.advance_branch, flushed, after=[fetched])
    return plan, plan.step(home.judge, fetched, flushed)


def take_down(k: Stop, home: Homecoming, *, keep_volume: bool, keep_name: bool = True) -> Plan:
    """Everything of the session goes; with `keep_volume` all but the volume, and the name where `keep_name` says so."""
    plan = Plan("stop", remedy=f"paude stop {k.record.name} --discard")
    cluster = plan.step(k.connect)
    pod = plan.step(k.delete_pod, cluster)
    policy = plan.step(k.delete_policy, cluster, after=[pod])
    secrets = plan.step(k.delete_secrets, cluster, after=[pod])
    proxy = plan.step(k.delete_proxy, cluster, after=[pod])
    if keep_volume:
        plan.step(home.pause_sync, after=[pod])
        if not keep_name:
            plan.step(k.delete_anchor, cluster, after=[policy, secrets, proxy])
    else:
        ended = plan.step(home.end_sync, after=[pod])
        volume = plan.step(k.delete_volume, cluster, after=[pod])
        anchor = plan.step(k.delete_anchor, cluster, after=[policy, secrets, proxy, volume])
        plan.step(home.forget, after=[anchor, ended])
    return plan


def take_down_on_podman(p: PodmanStop, home: Homecoming, *, keep_volume: bool) -> Plan:
    """The same on Podman: what the containers used goes after them."""
    plan = Plan("stop", remedy=f"paude stop {p.record.name} --discard")
    podman = plan.step(p.connect)
    containers = plan.step(p.delete_containers, podman)
    secrets = plan.step(p.delete_secrets, podman, after=[containers])
    places = plan.step(p.delete_meeting_places, podman, after=[containers])
    if keep_volume:
        plan.step(home.pause_sync, after=[containers])
    else:
        ended = plan.step(home.end_sync, after=[containers])
        volume = plan.step(p.delete_volume, podman, after=[secrets, places])
        plan.step(home.forget, after=[volume, ended])
    return plan
