"""Where a session's images go: the registry that the user names, or OpenShift's own.

An ordinary OpenShift user may read neither the registry's route nor its namespace; the public name stands in the
status of an ImageStream (openshift docs, "Exposing the registry"), of which creating one is the user's right.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import common_labels
from paude.backends.kubernetes.relay import relayed
from paude.backends.kubernetes.status import Conflict
from paude.errors import Forbidden, SettingsError
from paude.images.reference import Login, RegistryTarget
from paude.settings import Paths

PROBE = "paude-agent"
SHARED = "cli"


@asynccontextmanager
async def target(
    cluster: Cluster, wanted: RegistryTarget | None, paths: Paths, *, session: str = ""
) -> AsyncIterator[RegistryTarget]:
    """The registry for this run; the file with the CA to trust lives as long as the block.

    Who pushes names the `session` whose lock he has: a relay that is left behind is known by it.

    A registry that the user names is trusted as the cluster is: what the namespace publishes counts for the cluster's
    own alone, since everybody with `edit` there can write it.
    Raises SettingsError when there is no `--registry` and the cluster has none of its own.
    """
    async with AsyncExitStack() as stack:
        found = wanted or await _openshift(cluster, paths, session, stack)
        own = cluster.target.certificate_authority or b""
        if found.ca_file is not None or not (pem := own if wanted else await _authorities(cluster, own, found)):
            yield found
            return
        with tempfile.NamedTemporaryFile(dir=paths.runtime, suffix=".crt") as file:
            file.write(pem)
            file.flush()
            yield replace(found, ca_file=Path(file.name))


async def without_route(cluster: Cluster) -> bool:
    """Whether OpenShift's registry is known to have no public name, so that a relay leads there. Changes nothing.

    Everybody who is logged in may read the ImageStreams of `openshift` (openshift docs, "Default cluster roles"), also
    who has no right in the namespace yet; what may not be read is not known.
    """
    with suppress(Forbidden):
        if (shared := await cluster.get("ImageStream", SHARED, namespace="openshift")) and any(_names(shared)):
            return _only_inner([shared])
    with suppress(Forbidden):
        return _only_inner(await cluster.list("ImageStream"))
    return False


def _only_inner(streams: Iterable[Object]) -> bool:
    public, internal = max((_names(one) for one in streams), default=("", ""))
    return bool(internal) and not public


async def _openshift(cluster: Cluster, paths: Paths, session: str, stack: AsyncExitStack) -> RegistryTarget:
    if not await cluster.exists("image.openshift.io/v1"):
        raise SettingsError("paude needs a registry for its images", hint="name one with --registry HOST/PATH")
    streams = await _streams(cluster)
    public, internal = max(_names(one) for one in streams)
    if not public and not internal:
        raise SettingsError("the cluster has no registry of its own", hint="name one with --registry HOST/PATH")
    access = await cluster.access()
    token = access.headers.get("Authorization", "").removeprefix("Bearer ")
    login = Login(_user(cluster.target.user), token) if token else None
    if public:
        return RegistryTarget(_parent(public), login, pull_from=_parent(internal) if internal else None)
    way = await stack.enter_async_context(relayed(cluster, internal.partition("/")[0], paths, session))
    place = _parent(internal)
    return RegistryTarget(place, login, way=way, known=_known(streams, place))


async def _authorities(cluster: Cluster, own: bytes, target: RegistryTarget) -> bytes:
    """Whom the cluster itself trusts: the kubeconfig's CA, and what every namespace has in `kube-root-ca.crt`.

    A registry's public name is often signed by another CA than the API server (OpenShift's ingress), and its inner
    one by the CA of services, which every namespace has too (openshift docs, "Service serving certificates").
    """
    pem = [own, await _published(cluster, "kube-root-ca.crt", "ca.crt")]
    if target.way is not None:
        pem.append(await _published(cluster, "openshift-service-ca.crt", "service-ca.crt"))
    return b"\n".join(part for part in pem if part)


async def _published(cluster: Cluster, name: str, key: str) -> bytes:
    try:
        published = await cluster.get("ConfigMap", name)
    except Forbidden:
        published = None
    return str(((published or {}).get("data") or {}).get(key, "")).encode()


async def _streams(cluster: Cluster) -> list[Object]:
    """The ImageStreams of the namespace, or one made so that there is any: each tells the registry's names."""
    streams = await cluster.list("ImageStream")
    return streams if any(any(_names(one)) for one in streams) else [await _make_stream(cluster)]


def _names(stream: Object) -> tuple[str, str]:
    """The public and the inner name of its repository; both are told anew whenever it is read."""
    status = stream.get("status") or {}
    return str(status.get("publicDockerImageRepository") or ""), str(status.get("dockerImageRepository") or "")


def _known(streams: list[Object], repository: str) -> dict[str, str]:
    """The digests of what the streams say is in the registry, by repository and tag; the newest stands first."""
    path = repository.partition("/")[2]
    tags = ((one["metadata"]["name"], tag) for one in streams for tag in (one.get("status") or {}).get("tags") or ())
    return {f"{path}/{name}:{tag['tag']}": str(tag["items"][0]["image"]) for name, tag in tags if tag.get("items")}


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
