"""`paude forward`: a port of the agent's loopback on this machine, over the supervisor's tunnel."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from paude.errors import NotFound
from paude.plans.reach import connected_by, stream_to
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.connection import Connection
from paude.ssh.forward import News, forward
from paude.ssh.ssh_config import AGENT_PORT


async def forward_port(
    name: str, paths: Paths, listener: socket.socket, port: int, told: Callable[[News], None]
) -> None:
    """Bring `port` of the session's agent to `listener` until cancelled. Raises NotFound when the session has gone."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Connection]:
        if not isinstance(records.load(paths, name), Record):
            raise NotFound(f"there is no session {name} any more")
        stream = await stream_to(paths, name, AGENT_PORT)
        async with connected_by(stream, paths, name, AGENT_PORT) as connection:
            yield connection

    await forward(listener, port, opened, told)
