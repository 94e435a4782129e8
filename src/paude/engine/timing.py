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
    started, ended = _moments(events)
    zero = min(started.values(), default=0.0)
    seconds = {name: ended.get(name, at) - at for name, at in started.items()}
    path, slack = _critical(plan, seconds)
    steps = (StepTime(n, started[n] - zero, seconds[n], slack[n], n in path) for n in (m.name for m in plan) if n in started)
    return Timing(
        plan.title,
        tuple(steps),
        max((ended.get(n, zero) for n in started), default=zero) - zero,
        tuple(path),
        sum(seconds[n] for n in path),
        sum(seconds.values()),
    )


def gantt(timing: Timing, width: int = 100) -> str:
    """The run as a monospace chart of at most `width` columns: `█` opening on the critical path, `▒` beside it."""
    names = max((len(step.step) for step in timing.steps), default=0)
    room = max(width - names - len("  ||  0000.00 s"), 10)
    scale = room / timing.makespan_s if timing.makespan_s else 0.0

    def bar(step: StepTime) -> str:
        begin = min(round(step.start_s * scale), room - 1)
        length = max(1, round((step.start_s + step.seconds) * scale) - begin)
        return (" " * begin + ("█" if step.critical else "▒") * length)[:room].ljust(room)

    lines = [f"{s.step:<{names}}  |{bar(s)}|  {s.seconds:7.2f} s" for s in timing.steps]
    return "\n".join(lines)


def _moments(events: Iterable[Event]) -> tuple[dict[str, float], dict[str, float]]:
    """When each step started, and when its opening ended, well or not."""
    started: dict[str, float] = {}
    ended: dict[str, float] = {}
    for event in events:
        if isinstance(event, StepEvent) and event.phase == "started":
            started[event.step] = event.at
        elif isinstance(event, StepEvent) and event.step in started:
            ended.setdefault(event.step, event.at)
    return started, ended


def _critical(plan: Plan, seconds: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
    """The longest path through the durations, and how far each step is from lying on one as long."""
    until: dict[str, float] = {}
    since: dict[str, float] = {}
    for node in plan:
        until[node.name] = max((until[n.name] for n in node.needs), default=0.0) + seconds.get(node.name, 0.0)
    for node in reversed(plan.nodes):
        since[node.name] = max((since[n.name] for n in plan.dependents(node)), default=0.0) + seconds.get(node.name, 0.0)
    longest = max(until.values(), default=0.0)
    slack = {name: longest - until[name] - since[name] + seconds.get(name, 0.0) for name in until}
    path: list[str] = []
    ahead = max(plan, key=lambda n: until[n.name], default=None)
    while ahead is not None:
        path.insert(0, ahead.name)
        ahead = max(ahead.needs, key=lambda n: until[n.name], default=None)
    return [name for name in path if name in seconds], slack
