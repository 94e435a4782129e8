"""New contents for the secrets of a session on Podman: the step of `paude credentials refresh`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paude.backends.podman.containers import Identity, secret_name
from paude.backends.podman.engine import Engine
from paude.backends.podman.start import store
from paude.backends.podman.stop import Stop


@dataclass(frozen=True)
class Renew(Stop):
    """The connection and the containers of a session as `stop` finds them; `contents` are the secrets by part."""

    contents: Mapping[str, Mapping[str, bytes]]

    async def store_credentials(self, podman: Engine) -> None:
        """What containers that are made anew will have; those that run keep the copy that they were made with."""
        identity = Identity(self.record.name, self.record.uid)
        for part, files in self.contents.items():
            for file, data in files.items():
                await podman.remove("secret", secret_name(identity, part, file))
                await store(podman, identity, part, file, data)
