"""Whose a thing is: a name on this machine can be another session's, its uid cannot."""

from __future__ import annotations

from collections.abc import Sequence

from paude.backends.podman.containers import NEXT_PROXY, PROXY_PART, name_of
from paude.backends.podman.engine import Engine, Object, labels_of
from paude.errors import PaudeError

UID = "paude.io/session-uid"
_PARTS = ("net", "gate", "agent", PROXY_PART, NEXT_PROXY)


async def containers_of(podman: Engine, name: str, uid: str) -> list[Object]:
    """The session's containers, and what podman left of them in its storage when it was killed while it made one.

    That has a name, which nothing else can have then, and no label; podman (4.3, seen) tells it by `--external` only.
    """
    left = {name_of(name, part) for part in _PARTS}

    def mine(one: Object) -> bool:
        return labels_of(one).get(UID) == uid or (one.get("State") == "storage" and not left.isdisjoint(one["Names"]))

    return [one for one in await _all_containers(podman) if mine(one)]


async def _all_containers(podman: Engine) -> list[Object]:
    doing = "look for the session's containers"
    try:
        return await podman.objects("ps", "--all", "--external", doing=doing)
    except PaudeError:
        # A container of whomever that goes while podman lists its storage is an error to it.
        return await podman.objects("ps", "--all", doing=doing)


async def remove_volume(podman: Engine, name: str, uid: str) -> None:
    """Remove that volume if it belongs to the session of that uid; raises PaudeError where podman will not."""
    known = await podman.inspect("volume", name)
    if known is not None and labels_of(known).get(UID) == uid:
        await podman.run("volume", "rm", name, doing=f"remove the volume {name}")


async def remove_secrets(podman: Engine, names: Sequence[str], uid: str) -> None:
    """Remove those of the secrets that belong to the session of that uid."""
    for name in names:
        known = await podman.inspect("secret", name)
        if known is not None and ((known.get("Spec") or {}).get("Labels") or {}).get(UID) == uid:
            await podman.remove("secret", name)


async def remove_container(podman: Engine, session: str, part: str, uid: str) -> None:
    """End and remove that container of the session, if it is the session's."""
    name = name_of(session, part)
    mine = await containers_of(podman, session, uid)
    await podman.remove_containers([str(one["Id"]) for one in mine if name in (one.get("Names") or ())])
