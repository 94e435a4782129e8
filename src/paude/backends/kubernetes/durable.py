"""Objects that stay when the plan is committed, and are taken back when it is not: only what this run made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from paude.backends.kubernetes import ownership
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.errors import ConnectionLost, Forbidden, Leftover, PaudeError

UNDO_S = 15.0

Undo = Callable[[], Awaitable[None]]


@dataclass
class _Ledger:
    """What a run has made, as far as it knows: of `unsure` the answer to the POST has not been seen."""

    sure: list[Object] = field(default_factory=list)
    unsure: list[Object] = field(default_factory=list)

    @property
    def newest_first(self) -> list[Object]:
        return [*reversed(self.unsure), *reversed(self.sure)]


@asynccontextmanager
async def lasting(
    cluster: Cluster, uid: str, *objects: Object, fresh: bool, undo: Undo | None = None
) -> AsyncIterator[Object]:
    """Make the objects, or bring the session's own up to date; gives the last one.

    `fresh` says that `uid` is new: whatever bears it then is this run's, even if the POST's answer never came.
    What failed first is raised; what could not be taken back is in its `leftovers`.
    """
    ledger = _Ledger()
    try:
        made: Object = {}
        for obj in objects:
            made = await _make(cluster, obj, ledger, fresh=fresh)
        yield made
    except BaseException as exc:
        error = await _undone(cluster, uid, ledger, undo)
        if error is not None and not isinstance(exc, PaudeError):
            raise error from exc
        if error is not None and isinstance(exc, PaudeError):
            exc.leftovers += error.leftovers
        raise


async def _make(cluster: Cluster, obj: Object, ledger: _Ledger, *, fresh: bool) -> Object:
    if fresh:
        ledger.unsure.append(obj)
    try:
        result = await ownership.ensure(cluster, obj)
    except ConnectionLost:
        raise
    except PaudeError:
        ledger.unsure.clear()  # the cluster has answered: it made nothing
        raise
    ledger.unsure.clear()
    if result.created or fresh:
        ledger.sure.append(obj)
    return result.object


async def _undone(cluster: Cluster, uid: str, ledger: _Ledger, undo: Undo | None) -> PaudeError | None:
    """Take back what was made; the error that says what is left of it, if anything is."""
    if not ledger.newest_first:
        return None
    with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S + 5):
        try:
            await (undo() if undo is not None else _take_back(cluster, uid, ledger))
        except PaudeError as error:
            if error.leftovers:
                return error
            if isinstance(error, Forbidden) and not ledger.sure:
                return None
        else:
            return None
    return left(cluster, *(_named(obj) for obj in ledger.newest_first))


async def _take_back(cluster: Cluster, uid: str, ledger: _Ledger) -> None:
    failed: list[Object] = []
    for obj in ledger.newest_first:
        try:
            await ownership.remove(cluster, obj["kind"], obj["metadata"]["name"], uid)
        except PaudeError as error:
            # Whoever may not even look was not let make it either, when its making was cut short.
            if obj in ledger.sure or not isinstance(error, Forbidden):
                failed.append(obj)
    if failed:
        raise left(cluster, *map(_named, failed))


def _named(obj: Object) -> tuple[str, str]:
    return str(obj["kind"]).lower(), str(obj["metadata"]["name"])


def left(cluster: Cluster, *objects: tuple[str, str]) -> PaudeError:
    """The error that names what is still there, with the commands that remove it."""
    error = PaudeError("not everything could be taken back", why=", ".join(f"{kind} {name}" for kind, name in objects))
    error.leftovers = tuple(
        Leftover(kind, name, f"kubectl -n {cluster.namespace} delete {kind} {name}") for kind, name in objects
    )
    return error
