"""What of a workspace's paude.json the user agreed to: an agent may have written that file.

Kept on this machine by workspace; what was taken out of the file and comes back is asked about again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from paude.errors import SettingsError
from paude.settings.paths import Paths


def changed(paths: Paths, workspace: Path, brought: Mapping[str, object]) -> dict[str, object]:
    """What of `brought` is not what was agreed to at the last start; everything, where there was none."""
    try:
        before = json.loads(_file(paths, workspace).read_text())
    except (OSError, ValueError):
        before = {}
    known = before if isinstance(before, dict) else {}
    return {name: value for name, value in brought.items() if name not in known or known[name] != value}


def agree(paths: Paths, workspace: Path, brought: Mapping[str, object]) -> None:
    """Remember that the user agreed to all of it, whole or not at all. Raises SettingsError."""
    file = _file(paths, workspace)
    if not brought and not file.exists():
        return
    fresh = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_text(json.dumps(brought))
        fresh.replace(file)
    except OSError as exc:
        raise SettingsError("what was agreed to cannot be remembered", why=str(exc)) from exc


def _file(paths: Paths, workspace: Path) -> Path:
    return paths.state / "agreed" / f"{hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]}.json"
