"""What paude itself writes to the terminal: the line at the bottom, the help, the reset at the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

LEAVE_ALTERNATE = b"\x1b[?1049l"
# Every mode that a program may have left on: scroll region, mouse, focus, bracketed paste, application keys,
# synchronized output, modified keys, kitty keyboard, insert, autowrap, character set, colours, the cursor's shape,
# its colour and that it is seen.
RESET = (
    b"\x1b7\x1b[r\x1b8"
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l"
    b"\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[?2026l\x1b[>4;0m\x1b[<u"
    b"\x1b[4l\x1b[?7h\x1b(B\x0f\x1b[0m\x1b[0 q\x1b]112\x07\x1b[?25h"
)


class OutputFilter(Protocol):
    """What stands between the pod's bytes and the terminal."""

    def feed(self, data: bytes) -> bytes:
        """What may pass; a sequence that is cut in two may be held back until its rest comes."""
        ...


class PassThrough:
    """Lets everything pass."""

    def feed(self, data: bytes) -> bytes:
        """`data` itself."""
        return data


class AlternateScreen:
    """Knows from the bytes that passed whether the terminal shows its alternate screen."""

    def __init__(self) -> None:
        self.shown = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Look at what was written."""
        text = self._tail + data
        on, off = text.rfind(b"\x1b[?1049h"), text.rfind(LEAVE_ALTERNATE)
        if on != off:
            self.shown = on > off
        self._tail = text[-7:]

    def reset(self) -> bytes:
        """What brings the terminal back."""
        return (LEAVE_ALTERNATE if self.shown else b"") + RESET


def bottom_line(text: str, columns: int, rows: int) -> bytes:
    """`text` on the last row, in reverse; the cursor stays where it is."""
    shown = f" {text}"[: max(0, columns - 1)].ljust(max(0, columns - 1))
    return b"\x1b7\x1b[%d;1H\x1b[0;7m%b\x1b[0m\x1b8" % (rows, shown.encode("utf-8", "replace"))


def box(lines: Sequence[str], columns: int, rows: int) -> bytes:
    """`lines` on the last rows."""
    top = max(1, rows - len(lines) + 1)
    shown = lines[-rows:]
    return b"".join(bottom_line(line, columns, top + number) for number, line in enumerate(shown))
