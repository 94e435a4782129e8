"""How long it takes to see the agent: `paude attach` as the user runs it, until a key that he typed is shown."""

from __future__ import annotations

import os
import sys
import time

from paude.bench.typist import typist
from paude.process import started
from paude.settings import Paths
from paude.supervisor import client
from paude.sync import session

LIMIT_S = 60.0
HOT = 3
_WORD = b"%opening%"
_ERASE_AND_LEAVE = b"\x15\r~."


async def attach_each(name: str, paths: Paths) -> list[float]:
    """Seconds the first time, cold (without a supervisor: nothing of paude's runs on this machine), and hot ones.

    Hot is who has worked a while: the sync, which a new supervisor connects first, is in step.
    """
    first = await attach_once(name)
    await client.stop(paths)
    cold = await attach_once(name)
    await client.ensure(paths)
    await session.first_cycle(paths, name)
    return [first, cold, *[await attach_once(name) for _ in range(HOT)]]


async def attach_once(name: str) -> float:
    """Seconds from the start of the program. Raises TimedOut."""
    words = (sys.executable, "-m", "paude", "attach", name)
    with typist() as user:
        tty = user.descriptor
        env = {**os.environ, "TERM": "xterm-256color"}
        began = time.perf_counter()
        async with started(words, stdin=tty, stdout=tty, stderr=tty, env=env, new_session=True) as program:
            # Typed at once: what comes too early is held and given to the agent as soon as it is reached.
            await user.sees(b"\x1b[?1049h", LIMIT_S)
            user.look_away()
            await user.type(_WORD)
            await user.sees(_WORD, LIMIT_S)
            seconds = time.perf_counter() - began
            await user.type(_ERASE_AND_LEAVE)
            await program.wait()
    return seconds
