"""What the displays share: the protocol, keeping leftovers, words for numbers. No rendering of a plan here."""

from __future__ import annotations

import re
from typing import Protocol, TextIO

from paude.engine import Event, StepEvent
from paude.errors import Leftover
from paude.process import clean

# Direction marks make text read as something else; they are no control characters to `clean`.
_UNSEEN = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Display(Protocol):
    """Takes events; `leftovers` is what the run could not undo, also when it was cancelled."""

    leftovers: list[Leftover]

    def __call__(self, event: Event) -> None:
        """Take one event; never raises for the terminal's sake."""

    def close(self) -> None:
        """Give the terminal back; may be called twice."""


class Silent:
    """Shows nothing and remembers the leftovers."""

    def __init__(self) -> None:
        self.leftovers: list[Leftover] = []

    def __call__(self, event: Event) -> None:
        """Keep the leftovers."""
        if isinstance(event, StepEvent):
            self.leftovers += event.leftovers

    def close(self) -> None:
        """Nothing to give back."""


class Printer:
    """A stream that may go away: what cannot be written is dropped, the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        """Write one line at once."""
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            return


def one_line(text: str) -> str:
    """Foreign text as a single line that says what it seems to say."""
    return " ".join(_UNSEEN.sub("", clean(text)).split())


def amount(current: int, total: int | None, unit: str) -> str:
    """`12.3 of 40.0 MiB`, `3 of 12 files`, `7 layers`."""
    if unit != "bytes":
        return f"{current} {unit}" if total is None else f"{current} of {total} {unit}"
    size, name = _scale(current if total is None else total)
    whole = "" if total is None else f" of {total / size:.1f}"
    return f"{current / size:.1f}{whole} {name}"


def rate(per_second: float) -> str:
    """Bytes in a second, for people."""
    size, name = _scale(per_second)
    return f"{per_second / size:.1f} {name}/s"


def _scale(number: float) -> tuple[int, str]:
    for power, name in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number >= 1024**power:
            return 1024**power, name
    return 1, "B"
