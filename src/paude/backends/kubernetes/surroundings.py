"""What an ordinary user can see of a cluster before a session: who enforces policies, storage, quota. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from paude.backends.kubernetes.cluster import Cluster
from paude.errors import Forbidden

# By the API groups that each brings with it; discovery is open to everybody who is logged in.
_PLUGINS = {
    "k8s.ovn.org": "OVN-Kubernetes",
    "crd.projectcalico.org": "Calico",
    "cilium.io": "Cilium",
    "crd.antrea.io": "Antrea",
    "kubeovn.io": "Kube-OVN",
    "network.openshift.io": "OpenShift SDN",
}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Storage:
    """The storage classes; `seen` is False where the user may not list them."""

    seen: bool
    names: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True)
class Room:
    """What a quota leaves of one resource, as the API writes quantities."""

    quota: str
    resource: str
    hard: str
    used: str


async def policy_plugin(cluster: Cluster) -> str:
    """The network plug-in that is known to enforce policies, "" when none of those is seen."""
    answer = await cluster.request("GET", base="/apis", version="", url="", doing="ask what the cluster serves")
    groups = {str(group.get("name", "")) for group in answer.get("groups") or ()}
    return next((name for group, name in _PLUGINS.items() if group in groups), "")


async def storage(cluster: Cluster) -> Storage:
    """The storage classes, as far as they may be seen."""
    try:
        found = await cluster.list("StorageClass")
    except Forbidden:
        return Storage(seen=False)
    names = tuple(sorted(str(one["metadata"]["name"]) for one in found))
    marked = (one for one in found if _annotations(one).get(_DEFAULT_CLASS) == "true")
    return Storage(True, names, next((str(one["metadata"]["name"]) for one in marked), ""))


async def quotas(cluster: Cluster) -> tuple[Room, ...]:
    """What the quotas of the namespace say of processors, memory and storage; nothing where they may not be seen."""
    try:
        found = await cluster.list("ResourceQuota")
    except Forbidden:
        return ()
    rooms = []
    for one in filter(_counts_sessions, found):
        status = one.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "requests.storage", "cpu", "memory")
        rooms += [
            Room(str(one["metadata"]["name"]), name, str(hard[name]), str(used.get(name, "0")))
            for name in names
            if name in hard
        ]
    return tuple(rooms)


def _counts_sessions(quota: Mapping[str, Any]) -> bool:
    """Whether pods of sessions count in it: they run for as long as they like, ask for something, and have no class."""
    spec = quota.get("spec") or {}
    return not spec.get("scopeSelector") and {*(spec.get("scopes") or ())} <= {"NotTerminating", "NotBestEffort"}


async def others_who_may_read_secrets(cluster: Cluster) -> tuple[str, ...] | None:
    """The subjects of the namespace's role bindings; None where they may not be seen, as `edit` may not."""
    try:
        with anyio.fail_after(10):
            found = await cluster.list("RoleBinding")
    except (Forbidden, TimeoutError):
        return None
    subjects = (subject for one in found for subject in one.get("subjects") or ())
    return tuple(sorted({str(s.get("name", "")) for s in subjects if s.get("kind") in {"User", "Group"}}))


def _annotations(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}
