"""How far a start is, for others than the command that runs it: a file of lines in the session's directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread

from paude.sessions import records
from paude.settings import Paths

FILE = "progress"
_LOOK_S = 0.1


def file_of(paths: Paths, name: str) -> Path:
    """Where the lines of a start of `name` are written."""
    return paths.session(name) / FILE


async def follow(paths: Paths, name: str) -> AsyncIterator[str]:
    """The lines of the start that is under way, as they are written; ends with it, at once when none is.

    The end is an event, the lock that the start holds; growth of a file has none that is portable, so it is looked at.
    """
    done = anyio.Event()

    async def wait() -> None:
        await anyio.to_thread.run_sync(records.wait_unlocked, paths, name, abandon_on_cancel=True)
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        told = 0
        while True:
            last = done.is_set()
            lines = await anyio.to_thread.run_sync(_lines, file_of(paths, name))
            for line in lines[told:]:
                yield line
            told = max(told, len(lines))
            if last:
                return
            with anyio.move_on_after(_LOOK_S):
                await done.wait()


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text()
    except OSError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()
