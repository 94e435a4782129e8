"""What the supervisor does for a session while it runs, with the real sync between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteStream

from paude.plans.live import Live
from sync_peer import Peer, eventually, reads, synced


def reach_of(both: Peer) -> object:
    @asynccontextmanager
    async def reach(name: str, port: int) -> AsyncIterator[ByteStream]:
        async with await anyio.connect_tcp("127.0.0.1", both.server.port) as stream:
            yield stream

    return reach


async def test_a_sync_that_was_cut_twice_does_not_sleep_for_fifteen_seconds(tmp_path: Path) -> None:
    async with synced(tmp_path) as both, anyio.create_task_group() as tasks:
        tasks.start_soon(Live(both.paths, reach_of(both)).run)  # type: ignore[arg-type]
        await both.create()
        for number in range(3):
            both.server.cut()
            await both.state(lambda s: not s.connected)
            (both.pod / f"f{number}").write_text("while it was cut")
            took = await eventually(reads(both.laptop / f"f{number}", "while it was cut"), within=9)
            print(f"in step again {took:.1f} s after the cut")  # noqa: T201
        tasks.cancel_scope.cancel()
