"""What the cluster keeps of a session for the user's other laptops: its record and its keys, in a Secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paude.backends.kubernetes import manifests, ownership, pods
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.recorded import connected
from paude.errors import NotFound
from paude.process import clean
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths

RECORD = "record.json"


@dataclass(frozen=True)
class Shared:
    """A session that another laptop started: a guest's record of it, and the files with its keys."""

    record: Record
    keys: Mapping[str, bytes] = field(repr=False)
    owner: str


async def find(cluster: Cluster, name: str) -> Shared:
    """Read it. Raises NotFound, or SettingsError for what cannot be used."""
    anchor = await cluster.get("ConfigMap", manifests.resource_name(name))
    if anchor is None or not ownership.session_uid(anchor):
        raise NotFound(
            f"there is no session {name}",
            why=f"neither on this machine nor in namespace {cluster.namespace} of {cluster.target.server}",
            hint="`paude sessions` lists them; --context and --namespace look elsewhere",
        )
    uid = ownership.session_uid(anchor)
    secret = await cluster.get("Secret", manifests.resource_name(name, "laptop"))
    if secret is None or ownership.session_uid(secret) != uid:
        raise NotFound(
            f"the cluster has no keys for session {name}",
            why="an older paude started or stopped it",
            hint="`paude start`, where it was started, puts them there",
        )
    files = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    found = records.of_another_machine(name, files.pop(RECORD, b""))
    where = cluster.location
    record = replace(
        found,
        uid=uid,
        pod=pods.pod_name(name),
        workspace=clean(found.workspace),
        server=where.server,
        namespace=where.namespace,
        user=where.user,
        kubeconfig=tuple(where.kubeconfig),
    )
    return Shared(record, files, clean(str(anchor["metadata"]["labels"].get("paude.io/owner", ""))))


async def still_there(record: Record, paths: Paths) -> bool:
    """Whether the session has its name in the cluster yet: another laptop may have ended it."""
    async with connected(record, paths) as cluster:
        anchor = await cluster.get("ConfigMap", manifests.resource_name(record.name))
    return anchor is not None and ownership.session_uid(anchor) == record.uid
