"""What the proxy refused to a session: read from its log, by the address of the session's pod."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from paude.backends.kubernetes import ownership, pods, proxies
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.egress import blocked
from paude.egress.blocked import Denied
from paude.errors import NotFound, PaudeError
from paude.sessions.records import Record


@dataclass(frozen=True)
class Client:
    """A session as its proxy knows it: the pod's address, and since when (seconds since the epoch) it has it."""

    address: str
    since: float


async def client_of(cluster: Cluster, record: Record) -> Client:
    """The session's. Raises NotFound when its pod does not run."""
    pod = await cluster.get("Pod", pods.pod_name(record.name))
    status = (pod or {}).get("status") or {}
    if pod is None or ownership.session_uid(pod) != record.uid or not status.get("podIP"):
        raise NotFound(f"the pod of {record.name} does not run", hint="what was refused is known only while it does")
    began = datetime.fromisoformat(str(status["startTime"]).replace("Z", "+00:00"))
    return Client(str(status["podIP"]), began.timestamp())


async def so_far(cluster: Cluster, digest: str, client: Client) -> list[Denied]:
    """What the proxy of that list has refused to the client, the latest first."""
    lines: list[str] = []
    for pod in await proxies.pods_of(cluster, digest):
        with suppress(NotFound):
            lines += [line async for line in _log(cluster, pod, follow=False)]
    return blocked.denied(lines, client.address, client.since)


async def as_they_come(cluster: Cluster, client: Client) -> AsyncGenerator[Denied, None]:
    """Every refusal to the client, those of the past first, whichever proxy it uses; ends with the caller."""
    send, receive = anyio.create_memory_object_stream[Denied](100)
    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(_follow_all, cluster, client, send)
        async for one in receive:
            yield one
        tasks.cancel_scope.cancel()


async def _follow_all(cluster: Cluster, client: Client, send: MemoryObjectSendStream[Denied]) -> None:
    followed: set[str] = set()
    watch = aclosing(cluster.watch("Pod", selector="paude.io/role=proxy"))
    async with send, anyio.create_task_group() as tasks, watch as changes:
        async for change in changes:
            if change.type in {"LISTED", "DELETED"} or (change.object.get("status") or {}).get("phase") != "Running":
                continue
            uid = str(change.object["metadata"]["uid"])
            if uid not in followed:
                followed.add(uid)
                tasks.start_soon(_follow, cluster, change.object, client, send)


async def _follow(cluster: Cluster, pod: Object, client: Client, send: MemoryObjectSendStream[Denied]) -> None:
    with suppress(PaudeError):  # a proxy that goes takes its log along; its successor has one of its own
        async with aclosing(_log(cluster, pod, follow=True)) as lines:
            async for line in lines:
                if found := blocked.parse(line, client.address, client.since):
                    await send.send(found)


def _log(cluster: Cluster, pod: Object, *, follow: bool) -> AsyncGenerator[str, None]:
    return pods.log_lines(cluster, str(pod["metadata"]["name"]), "proxy", follow=follow, previous=False)
