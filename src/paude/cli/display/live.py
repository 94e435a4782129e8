"""The display on a terminal: a line for each step at work, one line for the rest. The only place that draws with rich.

While steps open (or are taken back) the lines below the cursor change; they are gone once all steps are ready, and
one summary stays, so that the command's body has the terminal to itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from paude.cli.display.base import Silent, amount, one_line, rate
from paude.engine import Event, Plan, StepEvent, StepLog, StepProgress
from paude.engine.events import Phase
from paude.engine.timing import measure

RATE_OVER_S = 3.0
_BAR = 24
_BACK: tuple[Phase, ...] = ("failed", "cancelled", "undone")
_BAD: dict[Phase, str] = {"failed": "red", "abandoned": "yellow"}


class _Console(Console):
    """A console whose reader may go away; rich would end the whole program, in the middle of a run."""

    def on_broken_pipe(self) -> None:
        """Go on; nothing more will be seen."""
        self.quiet = True


class Live(Silent):
    """Draws the running steps of a plan with their spinners, times and progress, ten times a second."""

    def __init__(self, plan: Plan, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._plan = plan
        self._console = _Console(file=stream, highlight=False)
        self._unicode = self._console.encoding.lower().startswith("utf")
        self._clock = clock
        # Complete from the start: the drawing thread walks it while events change what is in it.
        wide = max((len(node.name) for node in plan), default=0)
        self._lines = {node.name: _Line(node.name, wide, self._unicode, clock) for node in plan}
        self._events: list[Event] = []
        self._zero = clock()
        self._live = RichLive(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
        )
        self._started = False

    def __call__(self, event: Event) -> None:
        """Take an event; the next drawing shows it."""
        super().__call__(event)
        try:
            self._take(event)
        except (OSError, ValueError):  # the terminal is gone
            return

    def redraw(self) -> None:
        """Draw now instead of with the next tick."""
        if self._started:
            self._live.refresh()

    def close(self) -> None:
        """Take the moving lines away; may be called twice."""
        if self._started:
            self._started = False
            with suppress(OSError, ValueError):
                self._live.stop()

    def _take(self, event: Event) -> None:
        line = self._lines[event.step]
        if isinstance(event, StepLog):
            self._print(f"  [dim]{escape(event.step)}:[/dim] {escape(one_line(event.line))}")
        elif isinstance(event, StepProgress):
            line.advance(event)
        else:
            self._events.append(event)
            line.enter(event.phase)
            self._phase(event, line)

    def _phase(self, event: StepEvent, line: _Line) -> None:
        if event.phase == "started" and not self._started:
            self._started = True
            self._live.start()
        if event.phase in _BAD:
            mark = "✗" if self._unicode else "x"
            self._print(
                f"[{_BAD[event.phase]}]{mark}[/] {escape(event.step)} {event.phase} after {line.seconds():.1f} s"
            )
        if event.phase == "undone":
            self._print(f"[dim]  {escape(event.step)} taken back[/dim]")
        if event.phase == "ready" and all(other.phase == "ready" for other in self._lines.values()):
            self.close()
            self._summary()

    def _summary(self) -> None:
        timing = measure(self._plan, self._events)
        mark = "✓" if self._unicode else "+"
        self._print(
            f"[green]{mark}[/] {escape(self._plan.title)}: {len(timing.steps)} steps in {timing.makespan_s:.1f} s"
            f" [dim](one after the other {timing.sequential_s:.1f} s)[/dim]"
        )

    def _print(self, markup: str) -> None:
        self._console.print(markup, soft_wrap=True)

    def _draw(self) -> RenderableType:
        lines = list(self._lines.values())
        ready = [line.name for line in lines if line.phase == "ready"]
        title = f"{self._plan.title}: taking back" if any(ln.phase in _BACK for ln in lines) else self._plan.title
        head = Text(f"{title}  {len(ready)}/{len(lines)}  {self._clock() - self._zero:.1f} s", no_wrap=True)
        head.append(f"  {', '.join(ready)}", style="dim")
        head.truncate(self._console.width, overflow="ellipsis")
        return Group(head, *(line.draw() for line in lines if line.phase == "started"))


class _Line:
    """What is drawn of one step while it works."""

    def __init__(self, name: str, wide: int, fancy: bool, clock: Callable[[], float]) -> None:
        self.name = name
        self._wide = wide
        self.phase: Phase = "skipped"
        self._clock = clock
        self._since = clock()
        self._spinner = Spinner("dots" if fancy else "line")
        self._last: StepProgress | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def enter(self, phase: Phase) -> None:
        self.phase = phase
        if phase == "started":
            self._since = self._clock()

    def seconds(self) -> float:
        return self._clock() - self._since

    def advance(self, progress: StepProgress) -> None:
        now = self._clock()
        if self._last is not None and progress.current < self._last.current:
            self._marks.clear()  # something else is counted now
        self._last = progress
        self._marks.append((now, progress.current))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_OVER_S:
            self._marks.popleft()

    def draw(self) -> RenderableType:
        age = Text(f"{self.seconds():6.1f} s", style="dim")
        cells: list[RenderableType] = [self._spinner, Text(f"{self.name:<{self._wide}}"), age]
        last = self._last
        if last is not None and last.total:
            cells.append(ProgressBar(total=last.total, completed=last.current, width=_BAR))
        if last is not None:
            cells.append(Text(self._words(last), style="dim", no_wrap=True))
        row = Table.grid(padding=(0, 1))
        row.add_row(*cells)
        return row

    def _words(self, last: StepProgress) -> str:
        words = amount(last.current, last.total, last.unit)
        (begin, low), (end, high) = self._marks[0], self._marks[-1]
        if last.unit == "bytes" and end > begin:
            words += f"  {rate((high - low) / (end - begin))}"
        return words
