"""The steps of `paude stop` on Podman: the containers go first, then what they used. Each may be repeated."""

from __future__ import annotations

from dataclasses import dataclass

from paude.backends.podman import engine, ownership, pods
from paude.backends.podman.containers import name_of
from paude.backends.podman.engine import Engine
from paude.backends.podman.pods import Pod
from paude.sessions.records import Record
from paude.settings import Paths

GRACE_S = 3


@dataclass(frozen=True)
class Stop:
    """The steps, for the session of one record."""

    record: Record
    paths: Paths

    async def connect(self) -> Engine:
        """Find podman."""
        return await engine.connect()

    async def find_pod(self, podman: Engine) -> Pod | None:
        """The session's containers, if its gate runs."""
        return await pods.running(podman, self.record)

    async def delete_containers(self, podman: Engine) -> None:
        """End the agent, with a short grace, and everything around it."""
        mine = await ownership.containers_of(podman, self.record.name, self.record.uid)
        # Those that share a network go before the one that holds it, so that nothing outlives its wall.
        ids = {str(one.get("Id")): str((one.get("Names") or [""])[0]) for one in mine}
        held = [one for one, name in ids.items() if not name.endswith("-net")]
        await podman.remove_containers(held, grace_s=GRACE_S)
        await podman.remove_containers([one for one in ids if one not in held])

    async def delete_secrets(self, podman: Engine) -> None:
        """Keys and credentials die with the session."""
        names = await podman.run("secret", "ls", "--format", "{{.Name}}", doing="list the secrets")
        of_that_name = [name for name in names.splitlines() if name.startswith(f"{name_of(self.record.name)}-")]
        await ownership.remove_secrets(podman, of_that_name, self.record.uid)

    async def delete_meeting_places(self, podman: Engine) -> None:
        """The directories of the agent's permission, and of the proxy's socket."""
        await self._remove_volumes(podman, "run", "sockets")

    async def delete_volume(self, podman: Engine) -> None:
        """The workspace's copy, and with it the name."""
        await self._remove_volumes(podman, "")

    async def _remove_volumes(self, podman: Engine, *parts: str) -> None:
        for part in parts:
            await ownership.remove_volume(podman, name_of(self.record.name, part), self.record.uid)
