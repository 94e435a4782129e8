"""Running a command's plan: its events go to a reader, its time has a limit, its outcome is a value or one error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from paude.engine import Outputs, Plan, StepEvent, StepLog, running
from paude.engine.events import Emit, Event
from paude.errors import Leftover, TimedOut

# Longer than any step's own limit for taking back, so that a step speaks before it is abandoned.
GRACE_S = 30.0


class Recorder:
    """Keeps the events for timing and for the words of a time-out, and passes them on."""

    def __init__(self, emit: Emit, others: Path | None = None) -> None:
        """`others` is a file that other commands read while this one runs."""
        self.events: list[Event] = []
        self._emit = emit
        self._others = others
        if others is not None:
            others.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            others.write_text("")

    def __call__(self, event: Event) -> None:
        """Keep the event and pass it on."""
        self.events.append(event)
        self._emit(event)
        if self._others is not None and isinstance(event, StepEvent) and event.phase in {"started", "ready", "failed"}:
            with suppress(OSError), self._others.open("a") as file:
                file.write(f"{event.step}: {event.phase}\n")

    @property
    def leftovers(self) -> tuple[Leftover, ...]:
        """What could not be undone."""
        return tuple(left for e in self.events if isinstance(e, StepEvent) for left in e.leftovers)

    def waiting_for(self) -> str:
        """The steps that have started and are not ready, each with the last thing it said."""
        open_steps: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, StepEvent):
                if event.phase == "started":
                    open_steps[event.step] = ""
                elif event.phase in {"ready", "failed"}:
                    open_steps.pop(event.step, None)
            elif isinstance(event, StepLog) and event.step in open_steps:
                open_steps[event.step] = event.line
        return "\n".join(f"{step}: {said}" if said else step for step, said in open_steps.items())


@asynccontextmanager
async def committed(
    plan: Plan, recorder: Recorder, timeout_s: float, *, sequential: bool = False
) -> AsyncIterator[Outputs]:
    """The plan, opened within `timeout_s` seconds; the block runs when it is committed.

    Raises StepFailed, or TimedOut with what was being waited for.
    """
    waiting = ""
    ready = False
    with anyio.move_on_after(timeout_s) as limit:
        try:
            async with running(plan, recorder, grace=GRACE_S, sequential=sequential) as outputs:
                limit.deadline = float("inf")
                ready = True
                yield outputs
        except anyio.get_cancelled_exc_class():
            raise
        finally:
            waiting = waiting or recorder.waiting_for()
    if limit.cancelled_caught and not ready:
        what = f"`{plan.title}` was not done within {timeout_s:g} s"
        error = TimedOut(what, why=waiting, hint="give a longer --timeout")
        error.leftovers = recorder.leftovers
        raise error
