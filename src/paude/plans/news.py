"""What is to be known of the sync, for who looks at the agent's terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress

import anyio

from paude.errors import ConnectionLost, PaudeError
from paude.settings import Paths
from paude.supervisor import client
from paude.sync import session

# A cut or a file that is being written makes the sync unhealthy for a moment, and nobody wants to know.
PATIENCE_S = 3.0


async def sync_news(paths: Paths, name: str, tell: Callable[[str], None]) -> None:
    """Tell when the sync has not been healthy for a moment, and when it is again, for as long as it can be followed.

    A supervisor that was killed is replaced, or nothing would travel any more; one that was told to end stays away.
    """
    message, changed = "", anyio.Event()

    async def follow() -> None:
        nonlocal message, changed
        with suppress(ConnectionLost):
            async with aclosing(session.watch(paths, name)) as states:
                async for state in states:
                    if message != state.message:
                        message = state.message
                        changed.set()
                        changed = anyio.Event()

    async def follow_each() -> None:
        with suppress(PaudeError, OSError):
            await follow()
            while await client.killed(paths):
                await client.ensure(paths)
                await follow()

    async def report() -> None:
        told = ""
        while True:
            if message == told:
                await changed.wait()
                continue
            with anyio.move_on_after(PATIENCE_S):
                await changed.wait()
                continue
            told = message
            tell(message or "the sync is in step again")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(report)
        await follow_each()
        tasks.cancel_scope.cancel()
