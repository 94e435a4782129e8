"""The cluster that a record pins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import kubeconfig
from paude.backends.kubernetes.cluster import Cluster
from paude.sessions.records import Record
from paude.settings import Paths


@asynccontextmanager
async def connected(record: Record, paths: Paths) -> AsyncIterator[Cluster]:
    """A connection to the cluster that a record pins."""
    async with clusters.connected(kubeconfig.pinned(record), paths) as cluster:
        yield cluster
