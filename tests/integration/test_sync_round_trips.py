"""How many round trips an edit needs one after the other, counted at 80 ms and 10 Mbit/s and not timed."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from paude.sync import daemon, session
from relay import relay
from sync_peer import NAME, eventually, peer, point_to, reads

# One more than was seen: what is written in two pieces can be answered in two.
MOST = {"laptop": 3, "pod": 4}
RTT_S = 0.08


@pytest.mark.parametrize("origin", ["laptop", "pod"])
async def test_an_edit_needs_few_round_trips(tmp_path: Path, origin: str) -> None:
    with anyio.fail_after(60), peer(tmp_path) as both:
        async with relay(("127.0.0.1", both.server.port)) as link:
            link.delay, link.rate = RTT_S / 2, 10e6 / 8
            point_to(both.paths, both.server, link.port)
            async with daemon.daemon(both.paths):
                (both.laptop / "f").write_text("old")
                await both.create()
                await session.flush(both.paths, NAME)
                here, there = (both.laptop, both.pod) if origin == "laptop" else (both.pod, both.laptop)
                before = [*link.turns]
                (here / "f").write_text("new")
                took = await eventually(reads(there / "f", "new"), within=20)
                needed = [now - then for now, then in zip(link.turns, before, strict=True)]
                print(f"{origin}: {needed} round trips by connection, {took:.2f} s")  # noqa: T201
                assert 0 < max(needed) <= MOST[origin]
