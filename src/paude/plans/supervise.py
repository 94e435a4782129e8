"""What the supervisor runs: the road to each recorded session's pod, and the sync daemon."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from paude.errors import ConnectionLost, NotFound
from paude.plans.live import Live
from paude.plans.parked import TellsParked
from paude.plans.places import Ways, place_of
from paude.plans.reach import gate_status
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.supervisor.hold import Roads
from paude.supervisor.server import serve
from paude.sync.daemon import Daemon, daemon
from paude.tunnel.base import Dialer
from paude.tunnel.link import LinkMonitor, senses

_log = logging.getLogger(__name__)


@asynccontextmanager
async def _sync_daemon(paths: Paths, live: Live) -> AsyncIterator[None]:
    """The daemon, and what follows its sessions; ends with an error when the daemon does."""
    async with daemon(paths) as running, anyio.create_task_group() as tasks:
        tasks.start_soon(live.run, running.hurry)
        tasks.start_soon(_ended, running)
        yield
        tasks.cancel_scope.cancel()


async def _ended(running: Daemon) -> None:
    raise ConnectionLost("the sync daemon ended", why=f"exit code {await running.ended()}")


async def supervise(paths: Paths) -> None:
    """Serve tunnels until the last session is gone; sleep and changes of network are noticed where they matter."""
    known: dict[tuple[str, str, str], Ways] = {}
    live = Live(paths)

    async with anyio.create_task_group() as tasks:

        def changed(reason: str) -> None:
            _log.info("%s: looking at every tunnel", reason)
            roads.look()

        async def watch_link(server: str) -> None:
            where = urlsplit(server)
            found = await anyio.to_thread.run_sync(senses, where.hostname or "", where.port or 443)
            await LinkMonitor(found, changed).run()

        async def resolve(name: str) -> Dialer:
            record = records.load(paths, name)
            if not isinstance(record, Record) or not record.server:
                raise NotFound(f"there is no session {name} on this machine")
            place, where = place_of(record.backend), (record.server, record.namespace, record.user)
            if where not in known:
                known[where] = place.ways(record, paths)
                if place.remote:
                    tasks.start_soon(watch_link, record.server)
            return TellsParked(known[where](record), paths, name, gate_status)

        roads = Roads(resolve, good=live.look)
        await serve(paths, roads, partial(_sync_daemon, paths, live))
        tasks.cancel_scope.cancel()


async def _until_told() -> None:
    """Supervise until a signal says to end."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                await supervise(Paths.from_environment())
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            async for _ in signals:
                tasks.cancel_scope.cancel()


if __name__ == "__main__":
    # A process of its own without the command line: what is there to wait in the background is to be small.
    anyio.run(_until_told)
