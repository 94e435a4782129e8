"""Opening the connection to a session's gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from paude.backends.base import Reachable
from paude.settings import Paths
from paude.ssh import session_keys
from paude.ssh.session_keys import SessionKeys
from paude.ssh.ssh_config import GATE_PORT
from paude.tunnel.ready import WITHIN_S, dial_when_ready

if TYPE_CHECKING:
    from paude.ssh.connection import Connection


@asynccontextmanager
async def gate_of(
    pod: Reachable, name: str, paths: Paths, keys: SessionKeys | None = None, within_s: float = WITHIN_S
) -> AsyncIterator[Connection]:
    """An ssh connection to the gate, which may have been running for a moment only."""
    from paude.ssh.connection import connected  # asyncssh takes a fifth of a second to load

    keys = keys or session_keys.load(paths.session(name))
    stream = await dial_when_ready(pod.dialer, GATE_PORT, within_s)
    async with connected(
        stream, key=keys.gate_client.private_openssh, host_key=keys.gate_host.public_openssh
    ) as connection:
        yield connection
