"""`paude attach`: the way from a record to the agent's terminal."""

from __future__ import annotations

from importlib import import_module
from urllib.parse import urlsplit

import anyio.to_thread

from paude.errors import NotFound
from paude.plans.places import place_of
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.outcome import AttachResult
from paude.ssh.ssh_config import AGENT_PORT
from paude.tunnel.ahead import ahead
from paude.tunnel.link import senses


async def open_shell(name: str, paths: Paths, *, clipboard: bool) -> AttachResult:
    """Attach this process's terminal to the agent of the session; returns when the user leaves or the agent ends.

    `clipboard` lets the agent's programs write to the user's.
    """
    record = records.load(paths, name)
    if not isinstance(record, Record):
        raise NotFound(f"there is no session {name}")
    place, where = place_of(record.backend), urlsplit(record.server)
    async with place.pinned(record, paths) as dialer:
        link = senses(where.hostname or "", where.port or 443) if place.remote else None
        async with ahead(dialer, AGENT_PORT) as way:
            # Beside the dial, which takes about as long.
            await anyio.to_thread.run_sync(import_module, "paude.plans.terminal")
            from paude.plans.terminal import show
            from paude.ssh.terminal import Terminal

            news = not record.guest
            return await show(name, paths, way, Terminal(), senses=link, clipboard=clipboard, news=news)
