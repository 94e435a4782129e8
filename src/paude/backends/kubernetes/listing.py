"""The sessions that a namespace holds, read from their anchors, pods and claims: three requests at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from paude.backends import KUBERNETES
from paude.backends.base import Listed
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import resource_name
from paude.backends.kubernetes.ownership import session_uid
from paude.process import clean
from paude.sessions.states import derive

MINE = "app.kubernetes.io/managed-by=paude"


async def sessions(cluster: Cluster) -> list[Listed]:
    """Every session of the connection's namespace. Raises Forbidden, LoginExpired or ConnectionLost."""
    found: dict[str, list[Object]] = {}

    async def fetch(kind: str, selector: str) -> None:
        found[kind] = await cluster.list(kind, selector)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, "ConfigMap", f"{MINE},app.kubernetes.io/component=anchor")
            tasks.start_soon(fetch, "Pod", f"{MINE},app.kubernetes.io/component=agent")
            tasks.start_soon(fetch, "PersistentVolumeClaim", f"{MINE},app.kubernetes.io/component=workspace")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    pods = {session_uid(pod): pod for pod in found["Pod"]}
    claims = {session_uid(claim) for claim in found["PersistentVolumeClaim"]}
    return [
        _listed(anchor, pods.get(session_uid(anchor)), cluster, keeps=session_uid(anchor) in claims)
        for anchor in found["ConfigMap"]
    ]


def _listed(anchor: Object, pod: Object | None, cluster: Cluster, *, keeps: bool) -> Listed:
    meta = anchor["metadata"]
    labels: Mapping[str, Any] = meta.get("labels") or {}
    facts: Mapping[str, Any] = meta.get("annotations") or {}
    return Listed(
        name=str(labels.get("paude.io/session", meta["name"].removeprefix(resource_name("")))),
        uid=session_uid(anchor),
        owner=clean(str(labels.get("paude.io/owner", ""))),
        agent=clean(str(facts.get("paude.io/agent", ""))),
        workspace=clean(str(facts.get("paude.io/workspace", ""))),
        wall=clean(str(facts.get("paude.io/wall", ""))),
        created_at=str(meta.get("creationTimestamp", "")),
        backend=KUBERNETES,
        location=cluster.location,
        seen=derive(pod),
        keeps=keeps,
    )
