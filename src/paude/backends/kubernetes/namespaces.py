"""The namespace of a session: found, or made by ProjectRequest where that exists, and what the cluster does in it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import anyio

from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import common_labels
from paude.backends.kubernetes.status import Conflict
from paude.errors import Forbidden, NotFound

# Where OpenShift writes the range of UIDs that it assigns from; whoever sets one himself is refused there.
UID_RANGE = "openshift.io/sa.scc.uid-range"
APPEARS_S = 10.0
# Somebody else's may be this user's own other start, whose rights come a moment later; more often they never do.
TAKEN_S = 3.0


@dataclass(frozen=True)
class Namespace:
    """A namespace that is there; `ids_assigned` means that the cluster chooses UID and volume group."""

    cluster: Cluster
    name: str
    ids_assigned: bool


async def ensure(cluster: Cluster, *, create: bool) -> Namespace:
    """The connection's namespace; made when it is missing and `create` says so.

    Raises NotFound when it is missing, Forbidden when it may not be made.
    """
    found = await (_read_or_make(cluster) if create else _read(cluster))
    if found is None:
        raise NotFound(
            f"there is no namespace {cluster.namespace}", hint="choose one with -n, or give --create-namespace"
        )
    annotations = found["metadata"].get("annotations") or {}
    return Namespace(cluster, cluster.namespace, ids_assigned=UID_RANGE in annotations)


async def _read(cluster: Cluster) -> Object | None:
    try:
        return await cluster.get("Namespace", cluster.namespace)
    except Forbidden:
        # Who may not read it may still work in it; a missing one shows when the first object is made.
        return {"metadata": {"name": cluster.namespace}}


async def _read_or_make(cluster: Cluster) -> Object | None:
    """On OpenShift nobody may read a namespace that is missing: so a refusal does not say that it is there."""
    with suppress(Forbidden):
        if found := await cluster.get("Namespace", cluster.namespace):
            return found
    try:
        taken = not await _create(cluster)
    except Forbidden as error:
        error.hint = f"without --create-namespace paude uses {cluster.namespace}, if it is there; else ask for it"
        raise
    if found := await _usable(cluster, TAKEN_S if taken else APPEARS_S):
        return found
    if not taken:
        raise NotFound(f"the namespace {cluster.namespace} was asked for and does not appear", hint="try again")
    raise Forbidden(
        f"the namespace {cluster.namespace} is taken, and you may not see it",
        why="it belongs to somebody else, or nobody has given you rights in it",
        hint="choose another one with -n, or ask whose it is for the role `edit` in it",
    )


async def _create(cluster: Cluster) -> bool:
    """Whether it was made: there may be one that this user may not read, or somebody else was quicker."""
    meta = {"name": cluster.namespace}
    try:
        if await cluster.exists("project.openshift.io/v1"):
            await cluster.create({"apiVersion": "project.openshift.io/v1", "kind": "ProjectRequest", "metadata": meta})
        else:
            labels = common_labels("namespace")
            await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {**meta, "labels": labels}})
    except Conflict:
        return False
    return True


async def _usable(cluster: Cluster, limit_s: float) -> Object | None:
    """The namespace, once it can be used: OpenShift gives its maker the rights a moment after it answers."""
    with anyio.move_on_after(limit_s):
        while True:
            with suppress(Forbidden):
                if found := await cluster.get("Namespace", cluster.namespace):
                    return found
            await anyio.sleep(0.2)  # a namespace that may not be read yet cannot be watched either
    return None
