"""How the nodes log in to the registry: secrets that are there already, or the developer's own login.

The service account's secrets count only where they open the registry in question: on OpenShift they know its inner
name and nothing else (seen: 401 for an image pushed to `--registry`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paude.backends.kubernetes import manifests
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.errors import Forbidden
from paude.images import logins
from paude.images.reference import RegistryTarget

SECRET_TYPE = "kubernetes.io/dockerconfigjson"


@dataclass(frozen=True)
class PullAccess:
    """Secrets that exist (`present`), and the content of the one to be made beside them, if one is needed."""

    present: tuple[str, ...] = ()
    data: Mapping[str, bytes] | None = None

    def names(self, made: str) -> tuple[str, ...]:
        """All of them, when the one that is needed is called `made`."""
        return self.present if self.data is None else (*self.present, made)


async def access(cluster: Cluster, target: RegistryTarget, named: str | None) -> PullAccess:
    """The secret that the user named, else the service account's, else one made from the push login."""
    if named:
        return PullAccess((named,))
    account = await cluster.get("ServiceAccount", "default") or {}
    present = tuple(str(entry["name"]) for entry in account.get("imagePullSecrets") or ())
    host = (target.pull_from or target.host_and_path).partition("/")[0]
    if target.login is None or await _opened(cluster, present, host):
        return PullAccess(present)
    return PullAccess(present, {".dockerconfigjson": logins.dockerconfigjson(target.login, host)})


def proxy_secret(allowlist: str, data: Mapping[str, bytes]) -> Object:
    """The Secret of the proxy for an allowlist; it belongs to no session, like the proxy."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": manifests.proxy_pull_secret(allowlist),
            "labels": manifests.proxy_labels(allowlist),
        },
        "type": SECRET_TYPE,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


async def _opened(cluster: Cluster, names: Iterable[str], host: str) -> bool:
    """Whether one of the secrets has a login for the host; those that may not be read are trusted to."""
    for name in names:
        try:
            secret = await cluster.get("Secret", name)
        except Forbidden:
            return True
        if secret is not None and host in _hosts(secret):
            return True
    return False


def _hosts(secret: Object) -> set[str]:
    """The hosts of a secret of either docker type, without schemes and paths."""
    found: set[str] = set()
    for key, text in (secret.get("data") or {}).items():
        try:
            content = json.loads(base64.b64decode(text))
        except ValueError:
            continue
        entries = content.get("auths", content) if key == ".dockerconfigjson" else content
        found |= {str(one).rpartition("://")[2].partition("/")[0] for one in entries}
    return found
