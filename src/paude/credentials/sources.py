"""Files with credentials, read with care: regular ones, small ones, and no word of their content in a message."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from paude.errors import SettingsError

LARGEST = 64 * 1024


def read(path: Path, what: str) -> bytes:
    """The content of `path`, called `what` in messages. Raises SettingsError unless it is a file of 1 B to 64 KiB."""
    try:
        # Opened without blocking: a FIFO has no writer to wait for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise _bad(what, path, "it does not exist" if isinstance(exc, FileNotFoundError) else exc.strerror) from exc
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _bad(what, path, "it is no regular file")
        data = os.read(handle, LARGEST + 1)
    except OSError as exc:
        raise _bad(what, path, exc.strerror) from exc
    finally:
        os.close(handle)
    if len(data) > LARGEST:
        raise _bad(what, path, f"it is larger than {LARGEST // 1024} KiB")
    if not data.strip():
        raise _bad(what, path, "it is empty")
    return data


def json_object(data: bytes, path: Path, what: str) -> dict[str, Any]:
    """`data` as a JSON object. Raises SettingsError that quotes nothing of it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        # Without the cause: the decoder's error carries the whole text.
        raise _bad(what, path, "it is no JSON, or only the beginning of it") from None
    if not isinstance(found, dict):
        raise _bad(what, path, "it is no JSON object")
    return found


def _bad(what: str, path: Path, why: str | None) -> SettingsError:
    return SettingsError(f"{what} {str(path)!r} cannot be used", why=why or "")
