"""Where a session's images go: the registry that the user names, or OpenShift's own.

An ordinary OpenShift user may read neither the registry's route nor its namespace; the public name stands in the
status of an ImageStream (openshift docs, "Exposing the registry"), of which creating one is the user's right.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import common_labels
from paude.errors import SettingsError
from paude.images.reference import Login, RegistryTarget
from paude.settings import Paths

PROBE = "paude-agent"


@asynccontextmanager
async def target(cluster: Cluster, wanted: RegistryTarget | None, paths: Paths) -> AsyncIterator[RegistryTarget]:
    """The registry for this run; the file with the CA to trust lives as long as the block.

    Raises SettingsError when there is no `--registry` and the cluster has none of its own.
    """
    found = wanted or await _openshift(cluster)
    pem = cluster.target.certificate_authority
    if found.ca_file is not None or pem is None:
        yield found
        return
    with tempfile.NamedTemporaryFile(dir=paths.runtime, suffix=".crt") as file:
        file.write(pem)
        file.flush()
        yield replace(found, ca_file=Path(file.name))


async def _openshift(cluster: Cluster) -> RegistryTarget:
    if not await cluster.exists("image.openshift.io/v1"):
        raise SettingsError("paude needs a registry for its images", hint="name one with --registry HOST/PATH")
    stream = await cluster.get("ImageStream", PROBE) or await _make_stream(cluster)
    state = stream.get("status") or {}
    public, internal = state.get("publicDockerImageRepository"), state.get("dockerImageRepository")
    if not public:
        raise SettingsError(
            "the cluster's registry has no public name",
            hint="name another registry with --registry, or ask the administrators to expose the registry's route",
        )
    access = await cluster.access()
    token = access.headers.get("Authorization", "").removeprefix("Bearer ")
    return RegistryTarget(
        _parent(public),
        login=Login("paude", token) if token else None,
        pull_from=_parent(internal) if internal else None,
    )


async def _make_stream(cluster: Cluster) -> Object:
    meta = {"name": PROBE, "labels": common_labels("image")}
    return await cluster.create({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": meta})


def _parent(repository: str) -> str:
    return repository.rpartition("/")[0]
