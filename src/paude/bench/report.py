"""What a measurement says: figures, and how they look as JSON and as text. Pure functions of timings."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from paude.bench.statistics import Summary, median, ratio_interval, summarize
from paude.engine.timing import Timing, gantt

SCHEMA = 1
"""Rises when a field of the JSON changes its meaning or goes."""


@dataclass(frozen=True)
class Report:
    """The timings of a plan: `concurrent` as the edges allow, `sequential` step by step (may be empty).

    `attach_s` has for each run the seconds until its terminal could be typed into: the first time, cold (nothing of
    paude's ran on this machine), and each time that followed.
    """

    title: str
    cold: bool
    concurrent: tuple[Timing, ...]
    sequential: tuple[Timing, ...] = ()
    attach_s: tuple[tuple[float, ...], ...] = ()

    @property
    def attach(self) -> dict[str, Summary]:
        """What opening a terminal took first, cold and hot; empty when nobody did."""
        kinds = {"first": slice(0, 1), "cold": slice(1, 2), "hot": slice(2, None)}
        found = {kind: [s for one in self.attach_s for s in one[which]] for kind, which in kinds.items()}
        return {kind: summarize(values) for kind, values in found.items() if values}

    @property
    def typical(self) -> Timing:
        """The concurrent run with the median makespan (of two in the middle the faster)."""
        ordered = sorted(self.concurrent, key=lambda timing: timing.makespan_s)
        return ordered[(len(ordered) - 1) // 2]

    @property
    def speed(self) -> tuple[float, float, float] | None:
        """Concurrent time over sequential time, with its 95 % interval; None without a baseline."""
        if not self.sequential:
            return None
        above, below = _makespans(self.concurrent), _makespans(self.sequential)
        return median(above) / median(below), *ratio_interval(above, below)

    @property
    def overhead(self) -> float:
        """Makespan over critical path, the median of all concurrent runs: 1 is as fast as the graph allows."""
        return median([t.makespan_s / t.critical_s if t.critical_s else 1.0 for t in self.concurrent])

    def steps(self) -> dict[str, Summary]:
        """What each step's opening took in the concurrent runs."""
        return _steps(self.concurrent)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, to be kept and compared."""
        return {
            "schema": SCHEMA,
            "kind": self.title,
            "cold": self.cold,
            "machine": {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()},
            "concurrent": _kind_json(self.concurrent),
            "sequential": _kind_json(self.sequential) if self.sequential else None,
            "concurrent_over_sequential": self.speed and dict(zip(("ratio", "low", "high"), self.speed, strict=True)),
            "makespan_over_critical_path": self.overhead,
            "attach_s": {name: asdict(summary) for name, summary in self.attach.items()},
            "typical": asdict(self.typical),
        }

    def to_text(self, width: int = 100) -> str:
        """The report for people: totals, steps, and where the time of the typical run went."""
        temperature = "cold" if self.cold else "warm"
        head = f"{self.title}, {temperature}: {len(self.concurrent)} runs, times in seconds"
        path = " → ".join(f"{s.step} {s.seconds:.2f}" for s in self.typical.steps if s.critical)
        parts = [head, self._totals(), self._table(), f"critical path of the median run: {path}"]
        return "\n\n".join([*parts, gantt(self.typical, width)])

    def _totals(self) -> str:
        rows = [["", "median", "p95", "95 % of the median"], _total("concurrent", self.concurrent)]
        if self.sequential:
            rows.append(_total("sequential", self.sequential))
        if self.speed:
            ratio, low, high = self.speed
            rows.append(["concurrent / sequential", f"{ratio:.2f}", "", f"{low:.2f} to {high:.2f}"])
        rows.append(["makespan / critical path", f"{self.overhead:.3f}"])
        for name, found in self.attach.items():
            rows.append(
                [f"attach, {name}", f"{found.median:.2f}", f"{found.p95:.2f}", f"{found.low:.2f} to {found.high:.2f}"]
            )
        return _aligned(rows)

    def _table(self) -> str:
        alone = _steps(self.sequential)
        rows = [["step", "median", "p95", "alone" if alone else "", "on the path"]]
        for name, summary in self.steps().items():
            times = sum(name in timing.critical_path for timing in self.concurrent)
            single = f"{alone[name].median:.2f}" if name in alone else ""
            share = f"{times} of {len(self.concurrent)}" if times else ""
            rows.append([name, f"{summary.median:.2f}", f"{summary.p95:.2f}", single, share])
        return _aligned(rows)


def _makespans(timings: Sequence[Timing]) -> list[float]:
    return [timing.makespan_s for timing in timings]


def _steps(timings: Sequence[Timing]) -> dict[str, Summary]:
    seconds: dict[str, list[float]] = {}
    for timing in timings:
        for step in timing.steps:
            seconds.setdefault(step.step, []).append(step.seconds)
    return {name: summarize(values) for name, values in seconds.items()}


def _kind_json(timings: Sequence[Timing]) -> dict[str, Any]:
    return {
        "makespan_s": asdict(summarize(_makespans(timings))),
        "makespans_s": _makespans(timings),
        "critical_s": asdict(summarize([timing.critical_s for timing in timings])),
        "steps": {name: asdict(summary) for name, summary in _steps(timings).items()},
    }


def _total(kind: str, timings: Sequence[Timing]) -> list[str]:
    found = summarize(_makespans(timings))
    return [kind, f"{found.median:.2f}", f"{found.p95:.2f}", f"{found.low:.2f} to {found.high:.2f}"]


def _aligned(rows: list[list[str]]) -> str:
    """Rows in columns: the first to the left, the others to the right."""
    count = max(map(len, rows))
    full = [row + [""] * (count - len(row)) for row in rows]
    wide = [max(map(len, column)) for column in zip(*full, strict=True)]
    lines = (
        "  ".join([row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))])
        for row in full
    )
    return "\n".join(line.rstrip() for line in lines)
