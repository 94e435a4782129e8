"""How a step says how far it is, without knowing who listens.

The engine binds a reporter around each step; outside a plan the words go nowhere. No rendering here.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class Reporter(Protocol):
    """What the engine binds for the time of a step."""

    def line(self, text: str) -> None:
        """Take one line for the user."""

    def progress(self, current: int, total: int | None, unit: str) -> None:
        """Take a count: `unit` is `bytes`, `files` or `layers`; `total` is None while unknown."""


reporter: ContextVar[Reporter | None] = ContextVar("paude_reporter", default=None)


def line(text: str) -> None:
    """Tell the user one line about the step that is running."""
    bound = reporter.get()
    if bound is not None:
        bound.line(text)


def progress(current: int, total: int | None = None, unit: str = "bytes") -> None:
    """Tell how much of the step is done."""
    bound = reporter.get()
    if bound is not None:
        bound.progress(current, total, unit)
