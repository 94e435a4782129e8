"""`paude sessions`: what every place that this machine knows has, asked all at once.

A place that does not answer must not hide the others: it is one line of trouble.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from paude.backends import KUBERNETES, PODMAN
from paude.backends.base import Listed
from paude.errors import PaudeError
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read

if TYPE_CHECKING:
    from paude.backends.kubernetes.kubeconfig import Target

PATIENCE_S = 3.0


@dataclass
class Listing:
    """What was found, and which places could not be asked."""

    sessions: list[Listed] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Somewhere to ask, by the name that a trouble has."""

    name: str
    ask: Callable[[], Awaitable[list[Listed]]]


async def listing(paths: Paths) -> Listing:
    """Ask Podman where it is, the clusters that records pin, and the one that a start would go to."""
    found = Listing()

    async def ask(place: _Place) -> None:
        try:
            with anyio.fail_after(PATIENCE_S):
                found.sessions.extend(await place.ask())
        except (PaudeError, TimeoutError) as error:
            found.troubles.append(f"{place.name}: {error or 'no answer'}")

    async with anyio.create_task_group() as tasks:
        for place in _places(paths, found.troubles):
            tasks.start_soon(ask, place)
    return found


def _places(paths: Paths, troubles: list[str]) -> Iterator[_Place]:
    known = [one for one in records.load_all(paths) if isinstance(one, Record)]
    settings = read(paths, None).values
    here = (settings.backend in {"", PODMAN} and shutil.which("podman") is not None) or any(
        record.backend == PODMAN for record in known
    )
    if here:
        yield _Place("podman", _of_podman)
    for target in targets(known, paths, troubles, alone=not here):
        yield _Place(f"{target.server}, namespace {target.namespace}", partial(_of_cluster, target, paths))


def targets(known: list[Record], paths: Paths, troubles: list[str], *, alone: bool) -> list[Target]:
    """Each server and namespace once: those that records pin, and the one that a start would go to.

    What cannot be told is added to `troubles`, a missing kubeconfig only where there is no other place (`alone`).
    """
    from paude.backends.kubernetes import kubeconfig

    found = {}
    for record in known:
        if not record.server or record.backend != KUBERNETES:
            continue
        try:
            target = kubeconfig.pinned(record)
            found[(target.server, target.namespace)] = target
        except PaudeError as error:
            troubles.append(f"session {record.name}: {error}")
    try:
        current = kubeconfig.chosen(read(paths, None).values)
        found.setdefault((current.server, current.namespace), current)
    except PaudeError as error:
        if not found and alone:
            troubles.append(str(error))
    return list(found.values())


async def _of_cluster(target: Target, paths: Paths) -> list[Listed]:
    from paude.backends.kubernetes import cluster, listing

    async with cluster.connected(target, paths) as connection:
        return list(await listing.sessions(connection))


async def _of_podman() -> list[Listed]:
    from paude.backends.podman import engine, listing

    return list(await listing.sessions(await engine.connect()))
