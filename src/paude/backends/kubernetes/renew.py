"""New contents for the Secrets of a session on a cluster: the step of `paude credentials refresh`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paude.backends.kubernetes import manifests, ownership
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.manifests import Identity
from paude.backends.kubernetes.stop import Stop
from paude.errors import NotFound


@dataclass(frozen=True)
class Renew(Stop):
    """The connection and the pod of a session as `stop` finds them; `contents` are the Secrets by part."""

    contents: Mapping[str, Mapping[str, bytes]]

    async def store_credentials(self, cluster: Cluster) -> None:
        """What a pod that is started anew will have."""
        anchor = await cluster.get("ConfigMap", manifests.resource_name(self.record.name))
        if anchor is None or ownership.session_uid(anchor) != self.record.uid:
            raise NotFound(f"the session {self.record.name} is not in namespace {cluster.namespace}")
        who = Identity(self.record.name, self.record.uid, str(anchor["metadata"]["labels"].get("paude.io/owner", "")))
        for part, data in self.contents.items():
            if data:
                await ownership.ensure(cluster, manifests.secret(who, part, data, anchor))
