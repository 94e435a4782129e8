"""How far a start is, for others than the command that runs it: a file of lines in the session's directory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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


async def follow(paths: Paths, name: str) -> AsyncGenerator[str, None]:
    """The lines of the start that is under way, as they are written; ends with it, at once when none is.

    Neither growth of a file nor the end of a lock has an event that is portable and can be left, so both are looked at.
    """
    told = 0
    while True:
        last = not records.at_work(paths, name)
        lines = await anyio.to_thread.run_sync(_lines, file_of(paths, name))
        for line in lines[told:]:
            yield line
        told = max(told, len(lines))
        if last:
            return
        await anyio.sleep(_LOOK_S)


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text()
    except OSError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()
