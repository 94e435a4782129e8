"""The steps of `paude stop` on a cluster: the pod goes first and is seen to be gone, then what protected it.

Each step is an effect that may be repeated: what is not there is done.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio

from paude import report
from paude.backends.kubernetes import manifests, ownership, pods, proxies
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.manifests import Identity
from paude.backends.kubernetes.pods import Pod
from paude.backends.kubernetes.recorded import connected
from paude.errors import Leftover, NotFound, PaudeError
from paude.sessions.records import Record
from paude.settings import Paths

GONE_S = 60.0
# The pod's first processes end everything within a second. A parked agent's container is just being started anew and
# misses its SIGTERM (seen: the pod's whole grace of 10 s passed), so there is nothing to wait for after that.
GRACE_S = 3


@dataclass(frozen=True)
class Stop:
    """The steps, for the session of one record."""

    record: Record
    paths: Paths

    @property
    def _identity(self) -> Identity:
        return Identity(self.record.name, self.record.uid, "")

    def connect(self) -> AbstractAsyncContextManager[Cluster]:
        """The cluster that the record pins, whatever the current context is."""
        return connected(self.record, self.paths)

    async def find_pod(self, cluster: Cluster) -> Pod | None:
        """The session's pod, if its gate runs."""
        return await pods.running(cluster, self.record)

    async def running_pod(self, cluster: Cluster) -> Pod:
        """The session's pod. Raises NotFound when its gate does not run."""
        pod = await self.find_pod(cluster)
        if pod is None:
            hint = "`paude start`, where the session was started, brings it back"
            raise NotFound(f"the pod of {self.record.name} does not run", hint=hint)
        return pod

    async def delete_pod(self, cluster: Cluster) -> None:
        """End the agent, with its normal grace, and see that the pod is gone."""
        name = manifests.resource_name(self.record.name)
        await ownership.remove(cluster, "StatefulSet", name, self.record.uid)
        if not await pods.delete(cluster, self._identity, grace_s=GRACE_S, within_s=GONE_S):
            pod = pods.pod_name(self.record.name)
            error = PaudeError(f"the pod {pod} is still there after {GONE_S:.0f} s", hint="is its node alive?")
            error.leftovers = (Leftover("pod", pod, f"kubectl -n {cluster.namespace} delete pod {pod} --force"),)
            raise error

    async def delete_policy(self, cluster: Cluster) -> None:
        """Close the way to the proxy; the baseline stays."""
        await self._remove(cluster, "NetworkPolicy", "")

    async def delete_secrets(self, cluster: Cluster) -> None:
        """What its containers had of keys and credentials goes with them."""
        async with anyio.create_task_group() as tasks:
            for part in ("gate", "agent", "credentials", "kept", "pull"):
                tasks.start_soon(self._remove, cluster, "Secret", part)

    async def delete_proxy(self, cluster: Cluster) -> None:
        """The session's address of the proxy, and the proxy when no other session uses it."""
        service = await cluster.get("Service", manifests.resource_name(self.record.name, "proxy"))
        await self._remove(cluster, "Service", "proxy")
        if service is None or ownership.session_uid(service) != self.record.uid:
            return
        digest = str(service["metadata"]["labels"].get("paude.io/serves", ""))
        if await proxies.remove_unused(cluster, digest):
            report.line(f"the proxy {manifests.proxy_name(digest)} served nobody else and is gone")

    async def delete_volume(self, cluster: Cluster) -> None:
        """The workspace's copy in the cluster."""
        await self._remove(cluster, "PersistentVolumeClaim", "")

    async def delete_anchor(self, cluster: Cluster) -> None:
        """Give the name back, and what other laptops find under it."""
        await self._remove(cluster, "Secret", "laptop")
        await self._remove(cluster, "ConfigMap", "")

    async def _remove(self, cluster: Cluster, kind: str, part: str) -> None:
        await ownership.remove(cluster, kind, manifests.resource_name(self.record.name, part), self.record.uid)
