"""What holds for every graph, every fault and every moment of cancellation, on both event loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paude.engine import Event, Node, Plan, StepEvent, running
from paude.engine.timing import measure
from paude.errors import Leftover, StepFailed

GRACE = 7
LAST = {"failed", "skipped", "cancelled", "undone", "closed", "abandoned"}


class Fault(Exception):
    """What a faulty step raises."""


@dataclass(frozen=True)
class Spec:
    """A step of a random plan. Times are whole seconds, so that virtual clocks add them exactly."""

    needs: frozenset[int]
    managed: bool
    opens_in: int
    closes_in: int
    fault: str = ""  # open: raises while opening; undo: raises when taken back; hang: never closes; die: while held


@dataclass
class World:
    """The steps' own account of what they hold, independent of the events."""

    specs: list[Spec]
    held: set[int] = field(default_factory=set)
    opening: set[int] = field(default_factory=set)
    at_once: int = 0
    undone: set[int] = field(default_factory=set)
    body_ran: bool = False

    async def effect(self, i: int, *values: int) -> int:
        await self._open(i, values)
        return i

    @asynccontextmanager
    async def managed(self, i: int, *values: int) -> AsyncIterator[int]:
        async with anyio.create_task_group() as tasks:
            await self._open(i, values)
            self.held.add(i)
            if self.specs[i].fault == "die":
                tasks.start_soon(self._die)
            try:
                yield i
                await self._close(i)
            except BaseException:
                with anyio.CancelScope(shield=self.specs[i].fault == "die"):
                    await self._undo(i)
                raise
            finally:
                self.held.discard(i)
                tasks.cancel_scope.cancel()

    async def _open(self, i: int, values: tuple[int, ...]) -> None:
        spec = self.specs[i]
        assert set(values) <= spec.needs
        assert all(n in self.held or not self.specs[n].managed for n in spec.needs), "an input is not held"
        self.opening.add(i)
        self.at_once = max(self.at_once, len(self.opening))
        try:
            await anyio.sleep(spec.opens_in)
        finally:
            self.opening.discard(i)
        if spec.fault == "open":
            raise Fault(i)

    async def _close(self, i: int) -> None:
        self._nobody_leans_on(i)
        await anyio.sleep(1000 if self.specs[i].fault == "hang" else self.specs[i].closes_in)
        self._nobody_leans_on(i)

    async def _undo(self, i: int) -> None:
        await self._close(i)
        if self.specs[i].fault == "undo":
            raise Fault(i)
        self.undone.add(i)

    def _nobody_leans_on(self, i: int) -> None:
        leaning = [m for m in self.held if i in self.specs[m].needs]
        assert not leaning, f"{i} closes while {leaning} are held"

    async def _die(self) -> None:
        await anyio.sleep(3)
        raise Fault("died")

    def plan(self) -> Plan:
        plan = Plan("random", remedy="sweep")
        nodes: list[Node[Any]] = []
        for i, spec in enumerate(self.specs):
            needs = [nodes[n] for n in sorted(spec.needs)]
            fn = partial(self.managed if spec.managed else self.effect, i)
            nodes.append(plan.step(fn, *needs[:2], name=str(i), after=needs[2:]))  # type: ignore[call-overload]
        return plan


@st.composite
def graphs(draw: st.DrawFn, faults: tuple[str, ...] = ("",)) -> list[Spec]:
    size = draw(st.integers(1, 7))
    specs = []
    for i in range(size):
        needs = draw(st.frozensets(st.integers(0, i - 1), max_size=4)) if i else frozenset()
        managed = draw(st.booleans())
        known = [f for f in faults if managed or f in ("", "open")]
        # Close times stay below the grace: only a fault may hang.
        times = draw(st.integers(0, 5)), draw(st.integers(0, GRACE - 1))
        specs.append(Spec(needs, managed, *times, draw(st.sampled_from(known))))
    return specs


@dataclass
class Told:
    """What came of one run."""

    world: World
    plan: Plan
    events: list[StepEvent] = field(default_factory=list)
    error: BaseException | None = None
    cancelled: bool = False
    ran_when_cancelled: bool | None = None

    def index(self, step: int, *phases: str) -> int | None:
        return next((k for k, e in enumerate(self.events) if e.step == str(step) and e.phase in phases), None)

    def phases(self) -> dict[int, list[str]]:
        found = defaultdict(list)
        for e in self.events:
            found[int(e.step)].append(e.phase)
        return found


def tell(go, specs: list[Spec], *, cancel_at: int | None = None, sequential: bool = False, body_s: int = 5) -> Told:
    """Run a random plan; the event number `cancel_at` cancels it from outside."""
    world = World(specs)
    told = Told(world, world.plan())
    scope: anyio.CancelScope

    def emit(event: Event) -> None:
        assert isinstance(event, StepEvent)
        told.events.append(event)
        if len(told.events) - 1 == cancel_at:
            told.ran_when_cancelled = world.body_ran
            scope.cancel()

    async def main() -> None:
        nonlocal scope
        with anyio.CancelScope() as scope:
            async with running(told.plan, emit, grace=GRACE, sequential=sequential):
                world.body_ran = True
                await anyio.sleep(body_s)
        told.cancelled = scope.cancelled_caught

    try:
        go(main)
    except BaseException as exc:  # noqa: BLE001 -- the properties judge it
        told.error = exc
    return told


def check(told: Told) -> None:
    """The properties that hold always."""
    phases = told.phases()
    for i, spec in enumerate(told.world.specs):
        words = phases[i]
        assert words[-1] in LAST
        assert words[:-1] in ([], ["started"], ["started", "ready"])
        assert (words == ["skipped"]) == (len(words) == 1)
        if len(words) == 2:
            assert words[1] in ("failed", "cancelled")
        for need in spec.needs:
            if "started" in words:
                assert told.index(need, "ready") < told.index(i, "started"), "started before its input"
            if told.index(need, "ready") is not None:
                assert told.index(i, *LAST) < told.index(need, *LAST), "an input closed first"
        taken_back = spec.managed and "ready" in words and not told.world.body_ran
        assert (words[-1] == "undone") == (taken_back and words[-1] not in ("failed", "abandoned"))
        if words[-1] == "undone":
            assert i in told.world.undone
        if told.world.body_ran and spec.fault != "die":
            assert i not in told.world.undone, "undone after the commit"
    assert not told.world.held
    assert not told.world.opening
    if told.ran_when_cancelled is not None:
        assert told.world.body_ran == told.ran_when_cancelled, "committed although it was cancelled"
    over = [k for k, e in enumerate(told.events) if e.phase in LAST]
    assert not any(e.phase == "started" for e in told.events[min(over) :]), "started when all was over"


FEW = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(specs=graphs(), sequential=st.booleans())
def test_without_faults_everything_opens_as_early_as_the_edges_allow(go, specs, sequential):
    told = tell(go, specs, sequential=sequential)
    check(told)
    assert told.error is None
    assert told.world.body_ran
    timing = measure(told.plan, told.events)
    if sequential:
        assert told.world.at_once == 1
        assert timing.makespan_s == sum(spec.opens_in for spec in specs)
        started = [e.step for e in told.events if e.phase == "started"]
        assert started == [node.name for node in told.plan]
    else:
        assert timing.makespan_s == timing.critical_s, "virtual clocks waste nothing"
    assert timing.sequential_s == sum(spec.opens_in for spec in specs)


@FEW
@given(specs=graphs(("", "", "", "open", "undo", "hang")), sequential=st.booleans())
def test_a_failure_anywhere_is_one_error_and_nothing_stays_held(go, specs, sequential):
    told = tell(go, specs, sequential=sequential)
    check(told)
    if any(spec.fault == "open" for spec in specs):
        first = next(e.step for e in told.events if e.phase == "failed")
        assert isinstance(told.error, StepFailed)
        assert told.error.step == first
        assert isinstance(told.error.cause, Fault)
        assert not told.world.body_ran
        second = {e.step for e in told.events if e.phase in ("failed", "abandoned")} - {first}
        second = {s for s in second if "ready" in told.phases()[int(s)]}
        assert set(told.error.leftovers) == {Leftover("step", s, "sweep") for s in second}
    else:
        assert told.error is None
    for i, spec in enumerate(specs):
        if spec.fault == "hang" and told.index(i, "ready") is not None:
            assert told.phases()[i][-1] == "abandoned"


@FEW
@given(specs=graphs(("", "", "undo", "hang")), sequential=st.booleans(), at=st.integers(0, 21))
def test_a_cancellation_at_any_event_is_a_cancellation_and_nothing_stays_held(go, specs, sequential, at):
    told = tell(go, specs, cancel_at=at, sequential=sequential)
    check(told)
    assert told.error is None
    assert told.cancelled or told.world.body_ran or at >= len(told.events)
    for event in told.events:
        if event.phase in ("failed", "abandoned"):
            assert event.leftovers == (Leftover("step", event.step, "sweep"),)


@FEW
@given(specs=graphs(("", "", "open", "undo", "die")), at=st.none() | st.integers(0, 21))
def test_whatever_dies_or_fails_while_a_cancellation_comes_nothing_stays_held(go, specs, at):
    told = tell(go, specs, cancel_at=at)
    check(told)
    assert told.error is None or isinstance(told.error, StepFailed)
    died = any(spec.fault == "die" for spec in specs) and told.world.body_ran
    if died and at is None:
        assert isinstance(told.error, StepFailed)


@FEW
@given(specs=graphs(), at=st.integers(0, 6))
def test_an_error_of_the_body_passes_and_closes_everything(go, specs, at):
    world = World(specs)
    told = Told(world, world.plan())
    mine = ValueError("mine")

    async def main() -> None:
        async with running(told.plan, told.events.append, grace=GRACE):
            world.body_ran = True
            await anyio.sleep(at)
            raise mine

    with pytest.raises(ValueError, match="mine") as raised:
        go(main)
    assert raised.value is mine
    check(told)
    assert not world.undone
