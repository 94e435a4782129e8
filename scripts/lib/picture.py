"""A run as an SVG on standard output, from its events (`--progress json`) on standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from html import escape

from paude.engine import Plan, StepEvent
from paude.engine.timing import Timing, measure

ROW, LEFT, RIGHT, WIDTH, TOP = 19, 190, 64, 920, 58
INK, QUIET, GRID, PAPER = "#24292f", "#57606a", "#d8dee4", "#ffffff"
CRITICAL, BESIDE = "#d1570c", "#5f9ed1"


def read(lines: Iterable[str]) -> Timing:
    """The figures of the run whose events the lines are; lines of other programs are passed over."""
    plan, events = Plan("run"), []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("type") == "plan":
            plan = planned(event)
        elif event.get("type") == "step":
            events.append(StepEvent(event["step"], event["phase"], event["at"]))
    return measure(plan, events)


def planned(event: dict[str, object]) -> Plan:
    """The graph, as the first event tells it."""
    plan = Plan(str(event["title"]))

    async def step(**_: object) -> None:
        """Stands for the real one."""

    for one in event["steps"]:  # type: ignore[attr-defined]
        plan.step(step, after=[plan[need] for need in one["needs"]], name=one["step"])
    return plan


def picture(timing: Timing, title: str) -> Iterator[str]:
    """The drawing, line by line."""
    room, height = WIDTH - LEFT - RIGHT, TOP + ROW * len(timing.steps) + 14
    scale = room / max(timing.makespan_s, 1e-6)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="12" role="img">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}" rx="6"/>'
    yield text(14, 22, title, INK, "font-weight='bold'")
    yield text(14, 40, f"{timing.makespan_s:.1f} s; the steps one after the other: {timing.sequential_s:.1f} s", QUIET)
    yield f'<rect x="{WIDTH - 240}" y="31" width="10" height="10" rx="2" fill="{CRITICAL}"/>'
    yield text(WIDTH - 224, 40, "critical path", QUIET)
    yield f'<rect x="{WIDTH - 120}" y="31" width="10" height="10" rx="2" fill="{BESIDE}"/>'
    yield text(WIDTH - 104, 40, "beside it", QUIET)
    apart = next((seconds for seconds in (1, 2, 5, 10, 30) if timing.makespan_s / seconds <= 12), 60)
    for second in range(0, int(timing.makespan_s) + 1, apart):
        x = LEFT + second * scale
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 10}" stroke="{GRID}"/>'
        yield text(x, TOP - 8, f"{second}", QUIET, "font-size='9' text-anchor='middle'")
    for number, step in enumerate(timing.steps):
        y = TOP + number * ROW
        x, width = LEFT + step.start_s * scale, max(2.0, step.seconds * scale)
        colour = CRITICAL if step.critical else BESIDE
        yield text(LEFT - 10, y + 10, step.step, INK, "text-anchor='end'")
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="12" rx="2" fill="{colour}"/>'
        yield text(min(x + width + 5, WIDTH - RIGHT + 8), y + 10, f"{step.seconds:.2f} s", QUIET)
    yield "</svg>"


def text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    """One line of writing."""
    return f'<text x="{x:.1f}" y="{y}" fill="{colour}" {more}>{escape(words)}</text>'


if __name__ == "__main__":
    heading = sys.argv[1] if len(sys.argv) > 1 else "paude start"
    sys.stdout.write("\n".join(picture(read(sys.stdin), heading)) + "\n")
