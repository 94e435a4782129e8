"""What was decided to go out of a workspace, remembered on this machine: a later start that would send more has to ask.

Kept by workspace and not by session: the rules lie in the workspace, where an earlier session may have changed them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from paude.errors import UsageError
from paude.settings import Paths
from paude.sync import selection
from paude.sync.selection import Outgoing
from paude.sync.shown import visible

LISTED = 20


async def decide(
    paths: Paths, workspace: Path, only: tuple[str, ...] | None = None
) -> tuple[Outgoing, tuple[str, ...]]:
    """What goes out by the rules as they are now, and what of it the last start did not send.

    `only` confines it to some paths; None means the same as last time.
    """
    before = load(paths, workspace)
    confined = (before.only if before is not None else ()) if only is None else only
    released = (before.included, before.agreed) if before is not None else ()
    chosen = await selection.outgoing(workspace, confined, *released)
    if before is None or before.ignores == chosen.ignores:
        return chosen, ()
    return chosen, await selection.newly_sent(workspace, before, chosen)


def check(more: tuple[str, ...], agreed: tuple[str, ...] | None) -> None:
    """Raises UsageError when something of `more` was not agreed to; None agrees to anything."""
    asked = [] if agreed is None else [path for path in more if path not in set(agreed)]
    if not asked:
        return
    shown = [visible(path) for path in asked[:LISTED]]
    raise UsageError(
        "this start would send what the last one did not",
        why="\n".join([*shown, *([f"… and {len(asked) - LISTED} more"] if len(asked) > LISTED else [])]),
        hint="the rules in the workspace have changed: look at .gitignore and .paudeignore, or agree with --yes",
    )


def _file(paths: Paths, workspace: Path) -> Path:
    return paths.state / "outgoing" / f"{hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]}.json"


def load(paths: Paths, workspace: Path) -> Outgoing | None:
    """What the last start decided; None when there was none, or what was kept cannot be read."""
    try:
        found = json.loads(_file(paths, workspace).read_text("utf-8", "surrogateescape"))
        lists = (found["ignores"], found["held_back"], *(found.get(key, ()) for key in ("only", "included", "agreed")))
        ignores, held_back, only, included, agreed = (tuple(map(str, one)) for one in lists)
        return Outgoing(ignores, held_back, only, included, agreed)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(paths: Paths, workspace: Path, chosen: Outgoing) -> None:
    """Remember it, whole or not at all."""
    file = _file(paths, workspace)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    rules = asdict(replace(chosen, seen=None))
    del rules["seen"]
    words = {"workspace": str(workspace), **rules}
    fresh.write_text(json.dumps(words), "utf-8", "surrogateescape")
    fresh.replace(file)
