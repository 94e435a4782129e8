"""`paude attach`: the way from a record to the agent's terminal."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from paude.backends.base import PODMAN
from paude.backends.podman import pods as podman
from paude.errors import NotFound
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh import session_keys
from paude.ssh.filter import TerminalFilter
from paude.ssh.remote import Identity, Remote
from paude.ssh.shell import AttachResult, attach
from paude.ssh.terminal import Terminal
from paude.tunnel.link import senses
from paude.tunnel.portforward import PodPortForward


async def open_shell(name: str, paths: Paths, *, clipboard: bool = False) -> AttachResult:
    """Attach this process's terminal to the agent of the session; returns when the user leaves or the agent ends.

    `clipboard` lets the agent's programs write to the user's clipboard.
    """
    record = records.load(paths, name)
    if not isinstance(record, Record):
        raise NotFound(f"there is no session {name}")
    keys = session_keys.load(paths.session(name))
    identity = Identity(keys.agent_client.private_openssh, keys.agent_host.public_openssh)
    show = partial(
        attach,
        identity=identity,
        terminal=Terminal(),
        remote=Remote(clipboard=clipboard),
        output=partial(TerminalFilter, clipboard=clipboard),
    )
    if record.backend == PODMAN:
        return await show(podman.dialer(name))
    from paude.backends.kubernetes.stop import connected

    where = urlsplit(record.server)
    async with connected(record, paths) as cluster:
        return await show(
            PodPortForward(cluster.access, record.namespace, record.pod),
            senses=senses(where.hostname or "", where.port or 443),
        )
