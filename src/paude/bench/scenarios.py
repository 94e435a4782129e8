"""What is measured: which runs, in which order, under which conditions. It only calls what performs one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from paude.bench.report import Report
from paude.engine import Event, Plan
from paude.engine.timing import Timing, measure


@dataclass(frozen=True)
class Conditions:
    """How the run `number` is to be made: `sequential` opens one step at a time, `cold` finds nothing cached."""

    number: int
    sequential: bool = False
    cold: bool = False


@dataclass(frozen=True)
class Run:
    """A plan that was run, and everything it told; `attach_s` is what opening its terminal took, each time."""

    plan: Plan
    events: Sequence[Event] = field(repr=False)
    attach_s: Sequence[float] = ()

    @property
    def timing(self) -> Timing:
        """The run in figures."""
        return measure(self.plan, self.events)


RunOnce = Callable[[Conditions], Awaitable[Run]]
"""Performs one run to its end, takes down what it made, and gives what the plan told while it opened."""


async def bench_start(
    run_once: RunOnce,
    runs: int,
    *,
    cold: bool = False,
    baseline: bool = True,
    warm_up: int = 1,
    title: str = "start",
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure `runs` starts as the edges allow and, as the `baseline`, as many of the same plan step by step.

    The two kinds alternate, so that a machine that grows slower is slow for both. `warm_up` runs go before and are
    not counted (none when `cold`: then every run has to find nothing, which is `run_once`'s to arrange).
    A run that fails ends the measurement with its own error. Raises ValueError without a run to make.
    """
    if runs < 1:
        raise ValueError("at least one run")
    found: dict[bool, list[Timing]] = {False: [], True: []}
    attach: list[tuple[float, ...]] = []
    for number in range(0 if cold else warm_up):
        tell(f"warming up, {number + 1} of {warm_up}")
        await run_once(Conditions(number, cold=cold))
    for number in range(runs):
        for sequential in (False, True) if baseline else (False,):
            run = await run_once(Conditions(number, sequential, cold))
            found[sequential].append(run.timing)
            attach += [tuple(run.attach_s)] if run.attach_s else []
            kind = "sequential" if sequential else "concurrent"
            tell(f"run {number + 1} of {runs}, {kind}: {run.timing.makespan_s:.2f} s")
    return Report(title, cold, tuple(found[False]), tuple(found[True]), tuple(attach))
