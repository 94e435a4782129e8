"""Running a plan: open as much at once as the edges allow, close along the edges backwards, commit or take back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn, TypeVar, cast

from anyio import CancelScope, create_task_group, current_time, get_cancelled_exc_class
from anyio import Event as Signal
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from paude.engine.events import Emit, Phase, StepEvent, StepLog, StepProgress
from paude.engine.plan import Node, Plan
from paude.errors import Leftover, PaudeError, StepFailed
from paude.report import reporter

T = TypeVar("T")
_LAST: dict[Phase, Phase] = {"started": "cancelled", "ready": "closed"}


@asynccontextmanager
async def running(plan: Plan, emit: Emit, *, grace: float = 10.0, sequential: bool = False) -> AsyncIterator[Outputs]:
    """Open every step of `plan`, hold them while the body runs, then close them, dependents first.

    The plan is committed when the body is entered. Before that a failure, a cancellation or an interrupt takes
    back every open step; after it durable things stay and leases close, however the body ends. A lease that dies
    under the body cancels it. A closing that lasts longer than `grace` seconds is abandoned and reported.
    `sequential` opens the steps one by one in the order they were declared: the baseline for measurements.

    Raises StepFailed for the first step that failed, with what could not be undone in `leftovers`. What the body
    raises passes unchanged (a PaudeError gains the leftovers) unless a step had failed before; cancellations and
    interrupts pass too, and their leftovers are on the events.
    """
    run = _Run(plan, emit, grace, sequential)
    error: BaseException | None = None
    async with create_task_group() as run.tasks:
        for step in run.steps.values():
            run.tasks.start_soon(run.live, step, name=step.node.name)
        try:
            if plan.nodes:
                await run.opened.wait()
            await checkpoint_if_cancelled()  # a failure at the same moment comes before the commit
            run.committed = True
            yield Outputs(run.steps)
        except get_cancelled_exc_class():
            raise
        except BaseException as exc:  # noqa: BLE001 -- raised below, when everything is closed
            error = exc if run.culprit is None else None
        finally:
            run.end()
    if isinstance(error, PaudeError):
        error.leftovers += tuple(run.leftovers)
    if error is not None:
        raise error
    if run.culprit is not None:
        _fail(run.culprit, run.leftovers)


class Outputs:
    """The values of the steps: `outputs[node]`."""

    def __init__(self, steps: dict[Node[Any], _Step]) -> None:
        self._steps = steps

    def __getitem__(self, node: Node[T]) -> T:
        return cast(T, self._steps[node].value)


class _Step:
    """A node while its plan runs: its value, who leans on it, how it ended."""

    def __init__(self, node: Node[Any], before: Sequence[Node[Any]], leaning: int) -> None:
        self.node = node
        self.before = before
        self.leaning = leaning
        self.phase: Phase = "skipped"
        self.value: Any = None
        self.ready = Signal()
        self.free = Signal()
        self.scope = CancelScope()
        self.error: BaseException | None = None

    def let_go(self) -> None:
        self.leaning -= 1
        if not self.leaning:
            self.free.set()


class _Run:
    """A plan while it runs. Only `running` decides the commit; only `blame` decides what failed first."""

    tasks: TaskGroup

    def __init__(self, plan: Plan, emit: Emit, grace: float, sequential: bool) -> None:
        self.plan, self.emit, self.grace = plan, emit, grace
        self.steps: dict[Node[Any], _Step] = {}
        for i, node in enumerate(plan.nodes):
            before = plan.nodes[:i] if sequential else node.needs
            # The body leans on every step.  A need given twice is leant on once, as in `dependents`.
            self.steps[node] = _Step(node, before, 1 + len(plan.dependents(node)))
        self.opened = Signal()
        self.missing = len(self.steps)
        self.committed = False
        self.culprit: _Step | None = None
        self.leftovers: list[Leftover] = []

    def tell(self, step: _Step, phase: Phase, leftovers: tuple[Leftover, ...] = ()) -> None:
        step.phase = phase
        self.emit(StepEvent(step.node.name, phase, current_time(), leftovers))

    def blame(self, step: _Step) -> None:
        self.culprit = self.culprit or step
        self.tasks.cancel_scope.cancel()

    def end(self) -> None:
        """The body lets go of everything; without a commit this is where taking back begins."""
        if not self.committed:
            self.tasks.cancel_scope.cancel()
        for step in self.steps.values():
            step.let_go()

    async def live(self, step: _Step) -> None:
        """A step from its inputs to its end; what happens to it is kept, never raised."""
        reporter.set(_Reporter(step.node.name, self.emit))
        try:
            with step.scope:
                await self._open(step)
        except BaseException as exc:  # noqa: BLE001 -- `_fail` raises it; a cancelled task ends here anyway
            step.error = next(iter(_errors(exc)), None)
        try:
            self._report(step)
        finally:
            for need in dict.fromkeys(step.node.needs):
                self.steps[need].let_go()

    async def _open(self, step: _Step) -> None:
        for node in step.before:
            await self.steps[node].ready.wait()
        await checkpoint_if_cancelled()
        self.tell(step, "started")
        opening = step.node.fn(*(self.steps[node].value for node in step.node.inputs))
        if isinstance(opening, AbstractAsyncContextManager):
            async with opening as value:
                await self._hold(step, value)
                if not self.committed:
                    await _take_back(step)
        else:
            await self._hold(step, await opening)

    async def _hold(self, step: _Step, value: Any) -> None:
        """Publish the value and keep the step open until nobody leans on it.

        From here on cancellations reach the step only when its turn to close has come. One that arrives all the
        same comes from inside: the lease is dying. It stays, with its inputs, until its dependents have closed.
        """
        step.scope.shield = True
        step.value = value
        self.tell(step, "ready")
        step.ready.set()
        self.missing -= 1
        if not self.missing:
            self.opened.set()
        try:
            await step.free.wait()
        except BaseException:
            self.blame(step)
            with CancelScope(shield=True):
                await step.free.wait()
            raise
        finally:
            step.scope.deadline = current_time() + self.grace

    def _report(self, step: _Step) -> None:
        phase = self._last_phase(step)
        leftovers = tuple(getattr(step.error, "leftovers", ()))
        if phase == "abandoned" or (step.phase == "undone" and phase == "failed"):
            leftovers = leftovers or (Leftover("step", step.node.name, self.plan.remedy),)
        self.leftovers += leftovers
        if phase == "failed":
            self.blame(step)
        self.tell(step, phase, leftovers)

    def _last_phase(self, step: _Step) -> Phase:
        if step.scope.cancel_called:  # its deadline; `cancelled_caught` cannot tell two cancellations apart on asyncio
            return "abandoned"
        if step.error is not None or step is self.culprit:
            return "failed"
        return _LAST.get(step.phase, step.phase)


class _Reporter:
    """Makes events of what a step reports."""

    def __init__(self, step: str, emit: Emit) -> None:
        self._step, self._emit = step, emit

    def line(self, text: str) -> None:
        self._emit(StepLog(self._step, text))

    def progress(self, current: int, total: int | None, unit: str) -> None:
        self._emit(StepProgress(self._step, current, total, unit))


class _TakenBack(BaseException):
    """Stands in for the cancellation where a step shields its own `yield` from it."""


async def _take_back(step: _Step) -> None:
    """Let the cancellation of the plan through to the step for one moment; its undoing runs behind the shield."""
    step.phase = "undone"
    step.scope.shield = False
    try:
        await checkpoint()
    finally:
        step.scope.shield = True
    raise _TakenBack


def _errors(exc: BaseException) -> list[BaseException]:
    """What lies in (groups of) exceptions, without the cancellations; paude's own errors, which say most, first."""
    if isinstance(exc, BaseExceptionGroup):
        found = [leaf for inner in exc.exceptions for leaf in _errors(inner)]
        return sorted(found, key=lambda leaf: not isinstance(leaf, PaudeError))
    return [] if isinstance(exc, (get_cancelled_exc_class(), _TakenBack)) else [exc]


def _fail(step: _Step, leftovers: Sequence[Leftover]) -> NoReturn:
    cause = step.error or PaudeError(f"{step.node.name} ended by itself")
    if not isinstance(cause, Exception):  # an interrupt that hit a step is not the step's failure
        raise cause
    raise StepFailed(step.node.name, cause, leftovers) from cause
