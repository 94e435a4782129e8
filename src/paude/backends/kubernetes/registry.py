"""Where a session's images go: the registry that the user names, or OpenShift's own.

An ordinary OpenShift user may read neither the registry's route nor its namespace; the public name stands in the
status of an ImageStream (openshift docs, "Exposing the registry"), of which creating one is the user's right.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import common_labels
from paude.backends.kubernetes.status import Conflict
from paude.errors import Forbidden, SettingsError
from paude.images.reference import Login, RegistryTarget
from paude.settings import Paths

PROBE = "paude-agent"
_PUBLISHED = "kube-root-ca.crt"


@asynccontextmanager
async def target(cluster: Cluster, wanted: RegistryTarget | None, paths: Paths) -> AsyncIterator[RegistryTarget]:
    """The registry for this run; the file with the CA to trust lives as long as the block.

    A registry that the user names is trusted as the cluster is: what the namespace publishes counts for the cluster's
    own alone, since everybody with `edit` there can write it.
    Raises SettingsError when there is no `--registry` and the cluster has none of its own.
    """
    found = wanted or await _openshift(cluster)
    own = cluster.target.certificate_authority or b""
    if found.ca_file is not None or not (pem := own if wanted else await _authorities(cluster, own)):
        yield found
        return
    with tempfile.NamedTemporaryFile(dir=paths.runtime, suffix=".crt") as file:
        file.write(pem)
        file.flush()
        yield replace(found, ca_file=Path(file.name))


async def _openshift(cluster: Cluster) -> RegistryTarget:
    if not await cluster.exists("image.openshift.io/v1"):
        raise SettingsError("paude needs a registry for its images", hint="name one with --registry HOST/PATH")
    public, internal = await _names(cluster)
    if not public:
        raise SettingsError(
            "the cluster's registry has no public name",
            hint="name another registry with --registry, or ask the administrators to expose the registry's route",
        )
    access = await cluster.access()
    token = access.headers.get("Authorization", "").removeprefix("Bearer ")
    return RegistryTarget(
        _parent(public),
        login=Login(_user(cluster.target.user), token) if token else None,
        pull_from=_parent(internal) if internal else None,
    )


async def _authorities(cluster: Cluster, own: bytes) -> bytes:
    """Whom the cluster itself trusts: the kubeconfig's CA, and what every namespace has in `kube-root-ca.crt`.

    A registry's public name is often signed by another CA than the API server (OpenShift's ingress).
    """
    try:
        published = await cluster.get("ConfigMap", _PUBLISHED)
    except Forbidden:
        published = None
    more = str((published or {}).get("data", {}).get("ca.crt", "")).encode()
    return b"\n".join(part for part in (own, more) if part)


async def _names(cluster: Cluster) -> tuple[str, str]:
    """The public and the inner name of a repository of this namespace: any ImageStream tells them."""
    streams = await cluster.list("ImageStream")
    if not any(_public(one) for one in streams):
        streams = [*streams, await _make_stream(cluster)]
    told = next((one for one in streams if _public(one)), {})
    return _public(told), str((told.get("status") or {}).get("dockerImageRepository") or "")


def _public(stream: Object) -> str:
    return str((stream.get("status") or {}).get("publicDockerImageRepository") or "")


def _user(name: str) -> str:
    """The registry takes any name beside a token but an empty one; a kubeconfig's says `NAME/SERVER`."""
    return re.sub(r"[^A-Za-z0-9._@-]", "-", name.partition("/")[0]) or "paude"


async def _make_stream(cluster: Cluster) -> Object:
    meta = {"name": PROBE, "labels": common_labels("image")}
    obj = {"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": meta}
    try:
        return await cluster.create(obj)
    except Conflict:  # another start was faster
        return await cluster.get("ImageStream", PROBE) or {}


def _parent(repository: str) -> str:
    return repository.rpartition("/")[0]
