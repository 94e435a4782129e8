"""The namespace's EgressFirewall: made where that is asked for and possible, and never in the way of anything else."""

from __future__ import annotations

from contextlib import suppress

from paude import report
from paude.backends.kubernetes import manifests
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.egress import firewall
from paude.egress.company import Company
from paude.errors import PaudeError

_KIND = "EgressFirewall"


async def ensure(cluster: Cluster, company: Company) -> None:
    """Make it, or bring paude's own up to date. Whatever stands against it is told and stops nothing."""
    try:
        report.line(await _ensure(cluster, company))
    except PaudeError as exc:
        report.line(f"warning: no EgressFirewall: {exc.what}{f' ({exc.why})' if exc.why else ''}")


async def _ensure(cluster: Cluster, company: Company) -> str:
    if not await cluster.exists(firewall.API):
        return "warning: no EgressFirewall: this cluster has no such thing (it comes with OVN-Kubernetes)"
    present = await cluster.get(_KIND, firewall.NAME)
    if present is not None and not _is_ours(present):
        return f"warning: no EgressFirewall: {cluster.namespace} has one that is not paude's, which is left as it is"
    wanted = firewall.manifest(cluster.namespace, manifests.common_labels("firewall"), company, present)
    if present is None:
        await cluster.create(wanted)
        return (
            f"made the EgressFirewall of {cluster.namespace}: it concerns every pod there, until the last session goes"
        )
    await cluster.apply(wanted)
    return f"the EgressFirewall of {cluster.namespace} is up to date"


async def remove(cluster: Cluster) -> None:
    """Take paude's own away, if there is one and this user may."""
    with suppress(PaudeError):
        present = await cluster.get(_KIND, firewall.NAME)
        if present is not None and _is_ours(present):
            await cluster.delete(_KIND, firewall.NAME, uid=str(present["metadata"]["uid"]))


def _is_ours(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "paude"
