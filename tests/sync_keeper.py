"""A process that keeps a sync daemon, as the supervisor does: killed, it leaves the daemon behind.

Prints the daemon's process number once it answers, and ends with the daemon or when it is told to.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import anyio

from paude.settings import Paths
from paude.sync import daemon


async def keep(paths: Paths) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                async with daemon.daemon(paths) as running:
                    print(running.pid, flush=True)  # noqa: T201
                    await running.ended()
                tasks.cancel_scope.cancel()

            tasks.start_soon(run)
            async for _ in signals:
                tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(keep, Paths(*map(Path, sys.argv[1:])))
