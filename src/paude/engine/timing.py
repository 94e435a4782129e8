"""How long a plan took and why: durations, the critical path, slack. Pure functions of a plan and its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paude.engine.events import Event, StepEvent
from paude.engine.plan import Plan


@dataclass(frozen=True)
class StepTime:
    """A step's opening, in seconds since the first step started; `slack_s` is how much later it could have ended."""

    step: str
    start_s: float
    seconds: float
    slack_s: float
    critical: bool


@dataclass(frozen=True)
class Timing:
    """A run in figures. `critical_s` is the least the graph allows for these durations, `sequential_s` their sum."""

    title: str
    steps: tuple[StepTime, ...]
    makespan_s: float
    critical_path: tuple[str, ...]
    critical_s: float
    sequential_s: float


def measure(plan: Plan, events: Iterable[Event]) -> Timing:
    """The timing of one run, concurrent or sequential; a step that did not get ready counts until its last word."""
    words = [event for event in events if isinstance(event, StepEvent)]
    started = {word.step: word.at for word in words if word.phase == "started"}
    ended = {word.step: word.at for word in reversed(words) if word.phase != "started"}  # the first one stays
    zero = min(started.values(), default=0.0)
    seconds = {name: ended.get(name, at) - at for name, at in started.items()}
    path, slack = _critical(plan, seconds)
    names = [node.name for node in plan if node.name in started]
    return Timing(
        plan.title,
        steps=tuple(StepTime(n, started[n] - zero, seconds[n], slack[n], n in path) for n in names),
        makespan_s=max((ended.get(n, zero) for n in names), default=zero) - zero,
        critical_path=tuple(path),
        critical_s=sum(seconds[n] for n in path),
        sequential_s=sum(seconds.values()),
    )


def gantt(timing: Timing, width: int = 100) -> str:
    """The run as a monospace chart of at most `width` columns: `█` opening on the critical path, `▒` beside it."""
    labels = [(step.step, f"{step.seconds:.2f} s") for step in timing.steps] or [("", "")]
    left, right = (max(map(len, column)) for column in zip(*labels, strict=True))
    room = max(width - left - right - len("  ||  "), 1)
    scale = room / max(timing.makespan_s, 1e-6)

    def bar(step: StepTime) -> str:
        begin = min(round(step.start_s * scale), room - 1)
        length = max(1, round((step.start_s + step.seconds) * scale) - begin)
        return (" " * begin + ("█" if step.critical else "▒") * length)[:room].ljust(room)

    return "\n".join(f"{s.step:<{left}}  |{bar(s)}|  {f'{s.seconds:.2f} s':>{right}}" for s in timing.steps)


def _critical(plan: Plan, seconds: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
    """The longest path through the durations, and how far each step is from lying on one as long."""
    until: dict[str, float] = {}
    since: dict[str, float] = {}
    for node in plan:
        until[node.name] = max((until[n.name] for n in node.needs), default=0.0) + seconds.get(node.name, 0.0)
    for node in reversed(plan.nodes):
        later = max((since[n.name] for n in plan.dependents(node)), default=0.0)
        since[node.name] = later + seconds.get(node.name, 0.0)
    longest = max(until.values(), default=0.0)
    slack = {name: longest - until[name] - since[name] + seconds.get(name, 0.0) for name in until}
    path: list[str] = []
    ahead = max(plan, key=lambda n: until[n.name], default=None)
    while ahead is not None:
        path.insert(0, ahead.name)
        ahead = max(ahead.needs, key=lambda n: until[n.name], default=None)
    return [name for name in path if name in seconds], slack
