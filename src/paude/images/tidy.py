"""What a build leaves behind when it is ended: podman does not remove its working containers on a signal.

They carry no name or label of ours, but buildah keeps a build's arguments beside each of them
(`DRIVER-containers/ID/userdata/buildah.json` in the storage), and one argument says whose build it was.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread

from paude.errors import CommandFailed, ImageError
from paude.images.podman import podman

MARK = "PAUDE_BUILD"
_LIMIT_S = 20.0


def new_mark() -> str:
    """A value for the build argument that marks one build of this process."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


async def remove_own(mark: str) -> None:
    """Remove what the build with this mark left; never raises, and takes 20 s at most."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_LIMIT_S):
        await _remove(lambda found: found == mark)


async def remove_dead() -> None:
    """Remove what builds of processes that are gone left; never raises, and takes 20 s at most."""
    with anyio.move_on_after(_LIMIT_S):
        await _remove(lambda found: not alive(int(found.partition("-")[0])))


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


async def _remove(wanted: Callable[[str], bool]) -> None:
    try:
        info = await podman(("info", "--format", "{{.Store.GraphRoot}}"))
        found = await anyio.to_thread.run_sync(_marked, Path(info.text.strip()))
        left = [container for container, mark in found.items() if wanted(mark)]
        if left:
            await podman(("rm", "--force", *left))
    except (CommandFailed, ImageError):
        return


def _marked(storage: Path) -> dict[str, str]:
    """Marks by working container; nothing where the storage is not on this machine."""
    found = {}
    for file in storage.glob("*-containers/*/userdata/buildah.json"):
        try:
            mark = json.loads(file.read_bytes())["Args"][MARK]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(mark, str) and mark.partition("-")[0].isdecimal():
            found[file.parent.parent.name] = mark
    return found
