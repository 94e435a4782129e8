"""A session's sshds, reached by the supervisor's tunnel: no question to the cluster, and held while the way is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio.abc import ByteStream

from paude.errors import ConnectionLost
from paude.gate.client import Gate, GateStatus
from paude.settings import Paths
from paude.ssh import fdpass, session_keys
from paude.ssh.openssh import SshProgram
from paude.ssh.ssh_config import GATE_PORT, gate_alias
from paude.tunnel.local import LocalStream

if TYPE_CHECKING:
    from paude.ssh.connection import Connection


@asynccontextmanager
async def gate_reached(paths: Paths, name: str) -> AsyncIterator[Connection]:
    """The gate. A supervisor is started when there is none. Raises ConnectionLost."""
    stream = await stream_to(paths, name, GATE_PORT)
    async with connected_by(stream, paths, name, GATE_PORT) as way:
        yield way


@asynccontextmanager
async def connected_by(stream: ByteStream, paths: Paths, name: str, port: int) -> AsyncIterator[Connection]:
    """An ssh connection over a stream to the sshd at `port`; the agent's is the agent's, and all it says is data."""
    from paude.ssh.connection import connected  # asyncssh takes a fifth of a second to load

    keys = session_keys.load(paths.session(name))
    host, client = (keys.gate_host, keys.gate_client) if port == GATE_PORT else (keys.agent_host, keys.agent_client)
    async with connected(stream, key=client.private_openssh, host_key=host.public_openssh) as way:
        yield way


async def gate_status(paths: Paths, name: str) -> GateStatus:
    """What the gate says, for the supervisor itself. Raises ConnectionLost where it is not reached, PaudeError."""
    return await Gate(SshProgram(paths, gate_alias(name))).status()


async def stream_to(paths: Paths, name: str, port: int) -> LocalStream:
    """A stream to one port of the session's pod; the supervisor, started if need be, holds it until there is a way."""
    try:
        dialled = await anyio.to_thread.run_sync(fdpass.connected, str(paths.supervisor_socket), str(paths.state))
        stream = await LocalStream.over(dialled)
        await stream.send(f"{name} {port}\n".encode("ascii"))
    except OSError as exc:
        raise ConnectionLost("the supervisor does not answer", why=str(exc)) from exc
    return stream
