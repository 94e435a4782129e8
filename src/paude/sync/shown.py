"""Text of the agent's on the user's terminal: nothing in it controls it, nothing is hidden. Pure."""

from __future__ import annotations

import difflib
import unicodedata

SHOWN_BYTES = 256 * 1024
SHOWN_LINES = 2000
# Control, format (among them what reverses the direction of text), private and unassigned; and line separators.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def visible(text: str) -> str:
    """`text` with everything that is not plainly visible spelled out; tabs stay."""
    return "".join(c if c == "\t" or unicodedata.category(c) not in _HIDDEN else _spelled(c) for c in text)


def _spelled(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def difference(path: str, before: bytes | None, after: bytes | None) -> str:
    """A unified diff of two versions, None for one that is not there; says so when it cannot be shown as text."""
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"{_size(before)} → {_size(after)}, not shown as text"
    labels = (visible(path) if before is not None else "(none)", visible(path) if after is not None else "(none)")
    lines = [visible(line) for line in difflib.unified_diff(old, new, *labels, lineterm="")]
    more = len(lines) - SHOWN_LINES
    return "\n".join(lines[:SHOWN_LINES] + ([f"… and {more} more lines"] if more > 0 else []))


def _lines(data: bytes | None) -> list[str] | None:
    if data is None:
        return []
    if len(data) > SHOWN_BYTES or b"\0" in data:
        return None
    return data.decode("utf-8", "surrogateescape").split("\n")


def _size(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes"
