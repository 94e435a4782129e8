"""The wall of a running session: what it lets through, and how that changes while the agent works.

A changed list is another proxy. The session may talk to both for as long as the change takes, so no connection is ever
sent to a proxy that does not take it; only then the session's own address leads to the new one, and the old one goes
or, when a host was taken away, is at least started anew: a tunnel must not outlive its permission. Another session's
policy, labels and address are never touched.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio

from paude import report
from paude.backends import change
from paude.backends.kubernetes import manifests, namespaces, ownership, pods, policies_of_others, proxies
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import Identity
from paude.backends.kubernetes.pods import Pod
from paude.backends.kubernetes.recorded import connected
from paude.egress import policies
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import NotFound, PaudeError, UsageError
from paude.sessions.records import Record

GONE_S = 60.0


@dataclass(frozen=True)
class Standing:
    """The wall as the cluster has it: the list, what the company's network asks for, the proxy behind the session's
    address, the pod if its gate runs.

    `serves` and `address` are empty for a session that is stopped and kept.
    """

    cluster: Cluster
    allowlist: Allowlist
    company: Company
    serves: str
    address: str
    pod: Pod | None

    @property
    def stopped(self) -> bool:
        """Whether no proxy has it."""
        return not self.serves


async def standing(cluster: Cluster, record: Record) -> Standing:
    """Read it. Raises NotFound when the session has gone, UsageError when it has no wall."""
    anchor = await cluster.get("ConfigMap", manifests.resource_name(record.name))
    if anchor is None or ownership.session_uid(anchor) != record.uid:
        raise NotFound(f"the session {record.name} is not in namespace {cluster.namespace} any more")
    facts = anchor["metadata"].get("annotations") or {}
    if facts.get("paude.io/wall") == "open":
        raise UsageError(f"{record.name} has no wall (--allow-network): everything is allowed there already")
    service = await cluster.get("Service", manifests.resource_name(record.name, "proxy"))
    if service is None or ownership.session_uid(service) != record.uid:
        service = {"metadata": {"labels": {}}, "spec": {}}
    return Standing(
        cluster,
        Allowlist(tuple(filter(None, str(facts.get("paude.io/allowlist", "")).split(",")))),
        Company.from_json(str(facts.get("paude.io/company", ""))),
        str(service["metadata"]["labels"].get("paude.io/serves", "")),
        str(service["spec"].get("clusterIP", "")),
        await pods.running(cluster, record),
    )


async def warnings_of(cluster: Cluster, record: Record) -> tuple[str, ...]:
    """What the user should know of the session's wall, one line each."""
    try:
        now = await standing(cluster, record)
    except UsageError:
        return ("it has no wall: the agent may reach anything (--allow-network)",)
    except NotFound:
        return ()
    if not now.serves:
        return ()
    who = Identity(record.name, record.uid, "")
    return (await policies_of_others.look(cluster, who, now.serves, running=True)).warnings


async def label(cluster: Cluster, identity: Identity, uses: str, leaves: str | None = None) -> None:
    """Mark the session's running pod, if there is one, as a user of a list's proxy, and as one that leaves another."""
    name = pods.pod_name(identity.name)
    pod = await cluster.get("Pod", name)
    if pod is None or ownership.session_uid(pod) != identity.uid:
        return
    labels = {policies.USES: uses, policies.LEAVES: leaves}
    # With the uid the API server refuses the patch for a pod that took its place meanwhile.
    await cluster.merge("Pod", name, {"metadata": {"uid": pod["metadata"]["uid"], "labels": labels}})


async def refuse_switch(cluster: Cluster, identity: Identity, *, walled: bool) -> None:
    """Raise UsageError when the session runs with a wall and is to lose it, or the other way round."""
    running = await cluster.get("StatefulSet", manifests.resource_name(identity.name))
    if running is None or ownership.session_uid(running) != identity.uid:
        return
    labels = running["spec"]["template"]["metadata"]["labels"]
    if (labels.get(policies.WALL) == "closed") == walled:
        return
    state = "without a wall (--allow-network)" if walled else "behind its wall"
    raise UsageError(
        f"{identity.name} runs {state}, and that cannot be changed while it runs",
        hint=f"`paude stop {identity.name} --keep-workspace`, then start it as you want it",
    )


@dataclass(frozen=True)
class Change(change.Change):
    """The steps by which a session gets another list."""

    def connect(self) -> AbstractAsyncContextManager[Cluster]:
        """The cluster that the record pins."""
        return connected(self.record, self.paths)

    async def look(self, cluster: Cluster) -> Standing:
        """How the wall stands. Raises UsageError for a host to deny that is not on the list."""
        return self.checked(await standing(cluster, self.record))

    async def roll_out_next(self, now: Standing) -> str:
        """The proxy of the new list, ready; gives the address of its pod."""
        if self.idle(now):
            return ""
        namespace = await namespaces.ensure(now.cluster, create=False)
        wanted = {"metadata": {"labels": {proxies.NEXT: self.digest(now)}}}
        await now.cluster.merge("Service", manifests.resource_name(self.record.name, "proxy"), wanted)
        source = await proxies.source_of(now.cluster, now.serves)
        await proxies.roll_out(namespace, self.wanted(now), now.company, source)
        return await proxies.pod_address(now.cluster, self.digest(now))

    async def open_both(self, now: Standing) -> None:
        """Let the session talk to the new proxy beside the old one."""
        if self.idle(now):
            return
        both = (now.serves, self.digest(now))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._allow, now.cluster, *both)
            tasks.start_soon(self._label, now, now.serves)

    async def switch_address(self, now: Standing) -> None:
        """From now on new connections go to the new proxy."""
        if self.idle(now):
            return
        digest = self.digest(now)
        patch = {
            "metadata": {"labels": {"paude.io/serves": digest, proxies.NEXT: None}},
            "spec": {"selector": {"paude.io/role": "proxy", "paude.io/allowlist": digest}},
        }
        await now.cluster.merge("Service", manifests.resource_name(self.record.name, "proxy"), patch)

    async def close_old(self, now: Standing) -> None:
        """Let the session talk to the new proxy only."""
        if self.idle(now):
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._allow, now.cluster, self.digest(now))
            tasks.start_soon(self._label, now, None)

    async def retire_old(self, now: Standing) -> None:
        """The old proxy goes; one that others use is started anew, if a tunnel through it has lost its permission."""
        if self.idle(now):
            return
        if await proxies.remove_unused(now.cluster, now.serves, within_s=GONE_S):
            report.line(f"the proxy {manifests.proxy_name(now.serves)} served nobody else and is gone")
        elif self.remove:
            await proxies.start_anew(now.cluster, now.serves, within_s=GONE_S)
            report.line("other sessions with the former list were reconnected, so that no tunnel is left")

    async def note(self, now: Standing) -> None:
        """Write the list where the next start, and other machines, find it."""
        hosts = ",".join(self.wanted(now).hosts)
        patch = {"metadata": {"annotations": {"paude.io/allowlist": hosts}}}
        await now.cluster.merge("ConfigMap", manifests.resource_name(self.record.name), patch)

    async def _allow(self, cluster: Cluster, *digests: str) -> None:
        who = Identity(self.record.name, self.record.uid, "")
        present = await cluster.get("NetworkPolicy", manifests.resource_name(who.name))
        if present is None or ownership.session_uid(present) != who.uid:
            raise PaudeError(f"the policy of {who.name} has gone", hint="`paude start` puts it back")
        labels = present["metadata"]["labels"]
        policy = policies.session(who.name, who.uid, cluster.namespace, labels, *digests)
        policy["metadata"]["ownerReferences"] = present["metadata"].get("ownerReferences", [])
        await cluster.apply(policy)

    async def _label(self, now: Standing, leaves: str | None) -> None:
        """Mark the pod as a user of the new proxy, and its successors; one that is drained meanwhile comes back so."""
        uses: Object = {policies.USES: self.digest(now)}
        name = manifests.resource_name(self.record.name)
        await now.cluster.merge("StatefulSet", name, {"spec": {"template": {"metadata": {"labels": uses}}}})
        await label(now.cluster, Identity(self.record.name, self.record.uid, ""), self.digest(now), leaves)
