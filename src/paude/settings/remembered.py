"""What a terminal asks of the settings, remembered: to read them takes a tenth of the time until its prompt."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from paude import __version__
from paude.settings.paths import Paths

_LARGEST = 1 << 20


def clipboard(paths: Paths) -> bool:
    """Whether the agent's programs may write to the user's clipboard.

    Raises SettingsError for whatever makes no sense in what the user set, as every reading does: only what was read
    without one is remembered, and counts for the same words in the same places.
    """
    file, seal = paths.state / "clipboard", _seal(paths)
    answers = {f"{seal} {answer}": answer for answer in (True, False)} if seal else {}
    with suppress(OSError, ValueError):
        if (known := answers.get(file.read_text())) is not None:
            return known
    from paude.settings.reading import read

    allowed = read(paths, None).values.terminal.clipboard
    if seal:
        with suppress(OSError):  # it is read again, then
            file.touch(mode=0o600)
            file.write_text(f"{seal} {allowed}")
    return allowed


def _seal(paths: Paths) -> str:
    """Stands for all that the user set; empty where his file is nothing to be read twice."""
    try:
        content = _content(paths.user_settings)
    except OSError:
        return ""
    said = sorted((name, value) for name, value in os.environ.items() if name.startswith("PAUDE_"))
    return hashlib.sha256(repr((__version__, content, said)).encode()).hexdigest() if content is not None else ""


def _content(file: Path) -> bytes | None:
    if not file.is_file():
        return None if file.exists() else b""
    with file.open("rb") as source:
        content = source.read(_LARGEST + 1)
    return content if len(content) <= _LARGEST else None
