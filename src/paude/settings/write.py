"""Writing the user's own file: what `paude setup` found out, beside whatever the user has written there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from paude.errors import SettingsError
from paude.settings.paths import Paths
from paude.settings.reading import load, plain


def write(paths: Paths, changes: Mapping[str, object]) -> bool:
    """Set these settings, by full name, in the user's file; False when it said so already. Raises SettingsError."""
    file = paths.user_settings
    before = load(file, file)
    after = json.loads(json.dumps(plain(before)))
    for name, value in changes.items():
        _set(after, name, value)
    if after == plain(before):
        return False
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        with os.fdopen(handle, "w") as out:
            out.write(json.dumps(after, indent=2) + "\n")
        os.replace(partial, file)
    except OSError as exc:
        raise SettingsError(f"{file} cannot be written", why=exc.strerror or str(exc)) from exc
    return True


def _set(words: dict[str, Any], name: str, value: object) -> None:
    *groups, last = name.split(".")
    for group in groups:
        inner = words.get(group)
        words[group] = inner if isinstance(inner, dict) else {}
        words = words[group]
    words[last] = value
