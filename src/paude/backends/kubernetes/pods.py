"""Waiting for a session's pod: by watches of the pod and of the events around it, with the reason at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import anyio

from paude import report
from paude.backends.kubernetes import ownership, reasons
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import Identity, resource_name
from paude.backends.kubernetes.tunnels import tunnel_to
from paude.errors import PaudeError, SessionGone
from paude.sessions.records import Record
from paude.tunnel.base import Dialer

T = TypeVar("T")


@dataclass(frozen=True)
class Pod:
    """A pod whose gate runs."""

    cluster: Cluster
    name: str
    uid: str

    @property
    def dialer(self) -> Dialer:
        """The way to the ports of its loopback."""
        return tunnel_to(self.cluster, self.name)


def session_objects(session: str) -> frozenset[str]:
    """The names that events of the session's pod bear."""
    return frozenset({resource_name(session), pod_name(session)})


def pod_name(session: str) -> str:
    """The one pod of a session."""
    return f"{resource_name(session)}-0"


async def running(cluster: Cluster, record: Record) -> Pod | None:
    """The pod of the session that the record is about, if its gate runs."""
    pod = await cluster.get("Pod", pod_name(record.name))
    if pod is None or ownership.session_uid(pod) != record.uid or not reasons.running(pod, "gate"):
        return None
    return Pod(cluster, pod_name(record.name), str(pod["metadata"]["uid"]))


async def until(cluster: Cluster, session: str, wanted: Callable[[Object], T | None]) -> T:
    """The first value that `wanted` makes of the pod.

    Raises what the pod's status or an event says when it cannot come up: ImageError, QuotaExceeded,
    AdmissionDenied, EgressOpen, PodFailed. There is no time limit here; the command has one.
    """
    found: list[T] = []
    failed: list[PaudeError] = []

    async with anyio.create_task_group() as tasks:

        async def follow_pod() -> None:
            looks = reasons.Looks()
            async with aclosing(cluster.watch("Pod", name=pod_name(session))) as changes:
                async for change in changes:
                    if change.type in {"DELETED", "LISTED"}:
                        continue
                    value = wanted(change.object)
                    if value is not None:
                        found.append(value)
                    elif failure := looks.failure(change.object):
                        failed.append(failure)
                    else:
                        continue
                    tasks.cancel_scope.cancel()
                    return

        async def follow_events() -> None:
            failed.append(await _event_failure(cluster, session))
            tasks.cancel_scope.cancel()

        tasks.start_soon(follow_pod)
        tasks.start_soon(follow_events)

    if found:
        return found[0]
    raise failed[0] if failed else SessionGone(f"the pod of {session} is gone")


async def _event_failure(cluster: Cluster, session: str) -> PaudeError:
    """Tell news of the session's objects until one is a failure. Events of an earlier try do not count."""
    since = datetime.now(UTC).timestamp() - 2
    # Stamps are whole seconds, and a start may follow one that failed within them: its StatefulSet was another.
    current = await cluster.get("StatefulSet", resource_name(session))
    told: set[str] = set()
    async with aclosing(cluster.watch("Event")) as changes:
        async for change in changes:
            event = change.object
            if not reasons.concerns(event, session_objects(session), current) or _when(event) < since:
                continue
            if failure := reasons.event_failure(event):
                return failure
            news = reasons.event_news(event)
            if news and news not in told:
                told.add(news)
                report.line(news)
    raise AssertionError("a watch does not end")


def _when(event: Object) -> float:
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    try:
        return datetime.fromisoformat(str(stamp).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


async def until_available(cluster: Cluster, wanted: Object) -> bool:
    """Return when the Deployment has a ready pod, False when it was deleted meanwhile.

    Raises the reason when its pod cannot come up. Pods of an earlier template do not count: what they fail at may be
    what this one mends.
    """
    deployment = str(wanted["metadata"]["name"])
    template = _pulled(wanted["spec"]["template"])
    found: list[PaudeError | bool] = []

    async with anyio.create_task_group() as tasks:

        async def follow_deployment() -> None:
            told = False
            async with aclosing(cluster.watch("Deployment", name=deployment)) as changes:
                async for change in changes:
                    if change.type == "LISTED" and told:
                        told = False  # a watch that is taken up again tells it anew
                        continue
                    told = told or change.type == "ADDED"
                    gone = change.type in {"LISTED", "DELETED"}
                    up = not gone and _is_available(change.object)
                    failure = None if gone or up else reasons.deployment_failure(change.object)
                    if gone or up or failure:
                        found.append(failure or up)
                        tasks.cancel_scope.cancel()
                        return

        async def follow_pods() -> None:
            digest = deployment.rpartition("-")[2]
            looks = reasons.Looks()
            async with aclosing(cluster.watch("Pod", selector=f"paude.io/allowlist={digest}")) as changes:
                async for change in changes:
                    if change.type == "LISTED" or change.object["metadata"].get("deletionTimestamp"):
                        continue
                    if _pulled(change.object) == template and (failure := looks.failure(change.object)):
                        found.append(failure)
                        tasks.cancel_scope.cancel()
                        return

        tasks.start_soon(follow_deployment)
        tasks.start_soon(follow_pods)

    outcome = found[0]
    if isinstance(outcome, PaudeError):
        raise outcome
    return outcome


def _is_available(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(seen and status.get("availableReplicas") and status.get("updatedReplicas"))


def _pulled(pod: Object) -> tuple[list[str], list[str]]:
    """The images of a pod or a template, and the secrets they are pulled with."""
    spec = pod["spec"]
    return [c["image"] for c in spec["containers"]], [s["name"] for s in spec.get("imagePullSecrets") or ()]


async def replace_broken(cluster: Cluster, session: str, gate_image: str, agent_image: str) -> None:
    """Delete a pod that is not ready and was made from another template: OnDelete leaves that to us."""
    pod = await cluster.get("Pod", pod_name(session))
    if pod is None or is_ready(pod):
        return
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    if {c["image"] for c in containers} != {gate_image, agent_image} or reasons.pod_failure(pod) is not None:
        await cluster.delete("Pod", pod_name(session), uid=pod["metadata"]["uid"], grace_s=1)
        await ownership.gone(cluster, "Pod", pod_name(session), pod["metadata"]["uid"], within_s=30)


def is_ready(pod: Object) -> bool:
    """Whether the pod counts as ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def delete(cluster: Cluster, identity: Identity, *, grace_s: int | None, within_s: float) -> bool:
    """Delete the session's pod and wait until it is gone; False when it is still there."""
    name = pod_name(identity.name)
    pod = await cluster.get("Pod", name)
    if pod is None or ownership.session_uid(pod) != identity.uid:
        return True
    await cluster.delete("Pod", name, uid=pod["metadata"]["uid"], grace_s=grace_s)
    return await ownership.gone(cluster, "Pod", name, pod["metadata"]["uid"], within_s)


async def log_lines(
    cluster: Cluster, pod: str, container: str, *, follow: bool, previous: bool
) -> AsyncGenerator[str, None]:
    """The lines of a container's log. Raises NotFound when there is no such pod or container."""
    params = {"container": container, "follow": str(follow).lower(), "previous": str(previous).lower()}
    async with aclosing(cluster.lines(f"pods/{pod}/log", params, doing=f"read the log of {container}")) as lines:
        async for line in lines:
            yield line
