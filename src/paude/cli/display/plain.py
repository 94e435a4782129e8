"""One line for each thing that happens: for pipes, logs and terminals that cannot move a cursor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from paude.cli.display.base import Printer, Silent, amount, one_line
from paude.engine import Event, Plan, StepEvent, StepLog, StepProgress

PROGRESS_EVERY_S = 5.0
_QUIET = ("closed", "skipped")  # as expected, so no line


class Plain(Silent):
    """`  12.3 s  create pod: ready after 2.1 s`, on the given stream."""

    def __init__(self, plan: Plan, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._printer = Printer(stream)
        self._clock = clock
        self._zero = clock()
        self._started: dict[str, float] = {}
        self._shown: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Print the event if it says something new."""
        super().__call__(event)
        if isinstance(event, StepEvent):
            self._phase(event)
        elif isinstance(event, StepLog):
            self._say(event.step, one_line(event.line))
        else:
            self._progress(event)

    def _phase(self, event: StepEvent) -> None:
        if event.phase == "started":
            self._started[event.step] = event.at
        if event.phase == "ready":
            self._say(event.step, f"ready after {event.at - self._started[event.step]:.1f} s")
        elif event.phase not in _QUIET:
            self._say(event.step, event.phase)

    def _progress(self, event: StepProgress) -> None:
        now = self._clock()
        if now - self._shown.get(event.step, self._zero) >= PROGRESS_EVERY_S:
            self._shown[event.step] = now
            self._say(event.step, amount(event.current, event.total, event.unit))

    def _say(self, step: str, text: str) -> None:
        self._printer.line(f"{self._clock() - self._zero:6.1f} s  {step}: {text}")
