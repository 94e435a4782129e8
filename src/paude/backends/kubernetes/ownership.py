"""Making and removing objects so that nobody else's is ever taken over or deleted.

Every object of a session carries its uid. Creation is a POST, which the API server refuses for an existing name;
only an object that carries our uid is then brought up to date, and only such a one is deleted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

import anyio

from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.manifests import Object
from paude.backends.kubernetes.status import Conflict
from paude.errors import NameTaken, NotFound

UID = "paude.io/session-uid"
_TRIES = 4


@dataclass(frozen=True)
class Made:
    """An object as the API server has it, and whether this call created it."""

    object: Object
    created: bool


def session_uid(obj: Object) -> str:
    """The uid of the session that the object belongs to; empty when it is not paude's."""
    return str((obj["metadata"].get("labels") or {}).get(UID, ""))


async def ensure(cluster: Cluster, obj: Object) -> Made:
    """Create the object of a session, or bring the session's own one up to date.

    Raises NameTaken when the name belongs to somebody else.
    """
    for _ in range(_TRIES):
        try:
            return Made(await cluster.create(obj), created=True)
        except Conflict:
            # Either it is there, or another request changed the namespace's quota at that moment.
            if made := await _update(cluster, obj):
                return made
    return Made(await cluster.create(obj), created=True)


async def _update(cluster: Cluster, obj: Object) -> Made | None:
    kind, name = obj["kind"], obj["metadata"]["name"]
    present = await cluster.get(kind, name)
    if present is None:
        return None
    if session_uid(present) != session_uid(obj):
        raise NameTaken(f"{kind} {name} exists and belongs to another session", hint="choose another --name")
    return Made(await cluster.apply(obj), created=False)


async def ensure_shared(cluster: Cluster, obj: Object) -> Made:
    """Create an object that sessions share (baseline, proxy), or bring paude's own one up to date."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    for _ in range(_TRIES):
        try:
            return Made(await cluster.create(obj), created=True)
        except Conflict:
            present = await cluster.get(kind, name)
        if present is None:
            continue
        labels = present["metadata"].get("labels") or {}
        if labels.get("app.kubernetes.io/managed-by") != "paude":
            raise NameTaken(f"{kind} {name} exists and is not paude's", hint="remove it, or use another namespace")
        if not present.get("immutable"):
            return Made(await cluster.apply(obj), created=False)
        with suppress(NotFound):  # somebody took it away meanwhile
            notes = {"annotations": obj["metadata"].get("annotations") or {}}
            return Made(await cluster.merge(kind, name, {"metadata": notes}), created=False)
    return Made(await cluster.create(obj), created=True)


async def remove(cluster: Cluster, kind: str, name: str, uid: str, *, grace_s: int | None = None) -> bool:
    """Delete the session's object; False when there is none, or when it is not the session's."""
    present = await cluster.get(kind, name)
    if present is None or session_uid(present) != uid:
        return False
    return await cluster.delete(kind, name, uid=present["metadata"]["uid"], grace_s=grace_s)


async def gone(cluster: Cluster, kind: str, name: str, object_uid: str, within_s: float) -> bool:
    """Wait until the very object is gone; False when it is still there after `within_s` seconds."""
    with anyio.move_on_after(within_s):
        async with aclosing(presence(cluster, kind, name, object_uid)) as known:
            async for there in known:
                if not there:
                    return True
    return False


async def presence(cluster: Cluster, kind: str, name: str, object_uid: str) -> AsyncGenerator[bool, None]:
    """Whether the very object is there, told at first and again at every change."""
    there = False
    async with aclosing(cluster.watch(kind, name=name)) as changes:
        async for change in changes:
            if change.type == "LISTED":
                yield there
                there = False
            elif change.object["metadata"]["uid"] == object_uid:
                there = change.type != "DELETED"
                yield there
