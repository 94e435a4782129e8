"""What a running plan tells its readers: frozen values, handed to one function. They carry no behaviour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from paude.errors import Leftover

Phase = Literal["started", "ready", "failed", "skipped", "cancelled", "undone", "closed", "abandoned"]


@dataclass(frozen=True)
class StepEvent:
    """A step entered a phase at `at`, in seconds of the event loop's clock.

    `started` opening, `ready` open; then exactly one last word: `skipped` never started, `cancelled` while it was
    opening, `failed` in opening, while held, or in closing, `undone` taken back before the commit, `closed` let go
    as meant (what is durable stays), `abandoned` its closing hung. `leftovers` come with `failed` and `abandoned`.
    """

    step: str
    phase: Phase
    at: float
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True)
class StepLog:
    """A line for the user from inside a step; its text may be foreign and is not yet clean."""

    step: str
    line: str


@dataclass(frozen=True)
class StepProgress:
    """How far a step is: `unit` is `bytes`, `files` or `layers`; `total` is None while unknown."""

    step: str
    current: int
    total: int | None
    unit: str


Event: TypeAlias = StepEvent | StepLog | StepProgress
Emit: TypeAlias = Callable[[Event], None]
"""Takes each event at once, in order; it must be quick and must not raise."""
