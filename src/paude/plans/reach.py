"""A session's sshds, reached by the supervisor's tunnel: no question to the cluster, and held while the way is down."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from paude.errors import ConnectionLost
from paude.settings import Paths
from paude.ssh import fdpass, session_keys
from paude.ssh.connection import Connection, connected
from paude.ssh.ssh_config import AGENT_PORT, GATE_PORT
from paude.tunnel.local import LocalStream


@asynccontextmanager
async def gate_reached(paths: Paths, name: str) -> AsyncIterator[Connection]:
    """The gate. A supervisor is started when there is none. Raises ConnectionLost."""
    keys = session_keys.load(paths.session(name))
    stream = await stream_to(paths, name, GATE_PORT)
    async with connected(stream, key=keys.gate_client.private_openssh, host_key=keys.gate_host.public_openssh) as way:
        yield way


@asynccontextmanager
async def agent_reached(paths: Paths, name: str) -> AsyncIterator[Connection]:
    """The agent's sshd, which is the agent's: nothing that comes from there is more than data."""
    keys = session_keys.load(paths.session(name))
    stream = await stream_to(paths, name, AGENT_PORT)
    async with connected(stream, key=keys.agent_client.private_openssh, host_key=keys.agent_host.public_openssh) as way:
        yield way


async def stream_to(paths: Paths, name: str, port: int) -> LocalStream:
    """A stream to one port of the session's pod; the supervisor holds it until there is a way."""

    def dialled() -> socket.socket:
        return fdpass.connected(str(paths.supervisor_socket), str(paths.state))

    try:
        stream = await LocalStream.over(await anyio.to_thread.run_sync(dialled))
        await stream.send(f"{name} {port}\n".encode("ascii"))
    except OSError as exc:
        raise ConnectionLost("the supervisor does not answer", why=str(exc)) from exc
    return stream
