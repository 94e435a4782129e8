"""A copy of what travels of a directory: for whoever works on it while others write there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio.to_thread

from paude.errors import PaudeError
from paude.sync.selection import Outgoing
from paude.sync.tree import Found, Kind, entries, stays_inside


async def copy(workspace: Path, source: Path, chosen: Outgoing, into: Path) -> None:
    """Copy what `chosen` sends of `source`, which lies in the workspace, into an empty directory.

    Links stay links, and only where they stay in the workspace. Times are the epoch: the same files look the same on
    another day. Raises PaudeError when that cannot be done.
    """
    await anyio.to_thread.run_sync(_copy, workspace, source, chosen, into)


def _copy(workspace: Path, source: Path, chosen: Outgoing, into: Path) -> None:
    below = source.resolve().relative_to(workspace.resolve()).as_posix()
    front = "" if below == "." else f"{below}/"
    directories = []
    for found in entries(workspace, chosen.matcher()):
        if not found.path.startswith(front):
            continue
        to = into / found.path.removeprefix(front)
        try:
            _one(found, to)
        except FileNotFoundError:
            continue  # it went meanwhile
        except OSError as exc:
            raise PaudeError(f"{found.path[:200]!a} cannot be copied for the build", why=str(exc)) from exc
        if found.is_directory:
            directories.append(to)
    for directory in directories:  # what was put into it has changed its time
        os.utime(directory, (0, 0))


def _one(found: Found, to: Path) -> None:
    if found.is_directory:
        to.mkdir(mode=0o755)
    elif found.kind is Kind.FILE:
        _file(found, to)
    elif stays_inside(found.path, target := found.target()):
        to.symlink_to(target)
        os.utime(to, (0, 0), follow_symlinks=False)


def _file(found: Found, to: Path) -> None:
    with found.open() as source, to.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
        sink.flush()
        os.fchmod(sink.fileno(), 0o755 if os.fstat(source.fileno()).st_mode & 0o111 else 0o644)
        os.utime(sink.fileno(), (0, 0))
