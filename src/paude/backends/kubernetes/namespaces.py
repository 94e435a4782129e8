"""The namespace of a session: found, or made by ProjectRequest where that exists, and what the cluster does in it."""

from __future__ import annotations

from dataclasses import dataclass

from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import common_labels
from paude.backends.kubernetes.status import Conflict
from paude.errors import Forbidden, NotFound

# Where OpenShift writes the range of UIDs that it assigns from; whoever sets one himself is refused there.
UID_RANGE = "openshift.io/sa.scc.uid-range"


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
    found = await _read(cluster)
    if found is None:
        if not create:
            raise NotFound(
                f"there is no namespace {cluster.namespace}", hint="choose one with -n, or give --create-namespace"
            )
        found = await _create(cluster)
    annotations = found["metadata"].get("annotations") or {}
    return Namespace(cluster, cluster.namespace, ids_assigned=UID_RANGE in annotations)


async def _read(cluster: Cluster) -> Object | None:
    try:
        return await cluster.get("Namespace", cluster.namespace)
    except Forbidden:
        # Who may not read it may still work in it; a missing one shows when the first object is made.
        return {"metadata": {"name": cluster.namespace}}


async def _create(cluster: Cluster) -> Object:
    meta = {"name": cluster.namespace}
    try:
        if await cluster.exists("project.openshift.io/v1"):
            await cluster.create({"apiVersion": "project.openshift.io/v1", "kind": "ProjectRequest", "metadata": meta})
        else:
            labels = common_labels("namespace")
            await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {**meta, "labels": labels}})
    except Conflict:
        pass  # somebody else was quicker
    return await _read(cluster) or {"metadata": meta}
