"""Whose a thing is: a name on this machine can be another session's, its uid cannot."""

from __future__ import annotations

from paude.backends.podman.engine import Engine, labels_of

UID = "paude.io/session-uid"


async def remove_volume(podman: Engine, name: str, uid: str) -> None:
    """Remove that volume if it belongs to the session of that uid; raises PaudeError where podman will not."""
    known = await podman.inspect("volume", name)
    if known is not None and labels_of(known).get(UID) == uid:
        await podman.run("volume", "rm", name, doing=f"remove the volume {name}")
