"""The runner told as stories: one situation, the events in order."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from paude import report
from paude.engine import Event, Plan, StepEvent, StepLog, StepProgress, running
from paude.errors import ConnectionLost, Leftover, NameTaken, PaudeError, StepFailed

POD_STEP = Leftover("step", "create pod", "paude stop demo")


class Cluster:
    """Steps of a small start; what they hold is in `held`, what they took back in `undone`."""

    def __init__(self, fail: str = "", undo_fails: BaseException | None = None, hang: str = "") -> None:
        self.fail, self.undo_fails, self.hang = fail, undo_fails, hang
        self.log: list[str] = []

    async def _work(self, name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        if self.fail == name:
            raise NameTaken(f"{name} is taken", why="409", hint="choose another")

    async def connect(self) -> str:
        await self._work("connect", 1)
        return "cluster"

    async def push_image(self, cluster: str) -> int:
        await self._work("push image", 30)
        return 7

    @asynccontextmanager
    async def apply_policy(self, cluster: str) -> AsyncIterator[bool]:
        await self._work("apply policy", 2)
        try:
            yield True
        except BaseException:
            await anyio.sleep(3)
            self.log.append("policy undone")
            raise

    @asynccontextmanager
    async def create_pod(self, image: int, policy: bool) -> AsyncIterator[str]:
        assert (image, policy) == (7, True)
        await self._work("create pod", 5)
        try:
            yield "pod"
        except BaseException:
            await anyio.sleep(3)
            if self.undo_fails:
                raise self.undo_fails from None
            self.log.append("pod undone")
            raise

    @asynccontextmanager
    async def open_tunnel(self, pod: str) -> AsyncIterator[int]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._carry)
            await self._work("open tunnel", 1)
            yield 22
            if self.hang == "open tunnel":
                await anyio.sleep(3600)
            tasks.cancel_scope.cancel()
        self.log.append("tunnel closed")

    async def _carry(self) -> None:
        await anyio.sleep(100)
        if self.fail == "carry":
            raise ConnectionLost("the tunnel is cut")
        await anyio.sleep_forever()

    @asynccontextmanager
    async def open_shell(self, port: int) -> AsyncIterator[None]:
        await self._work("open shell", 1)
        yield
        await anyio.sleep(2)
        self.log.append("shell closed")


def start(k: Cluster) -> Plan:
    plan = Plan("start", remedy="paude stop demo")
    cluster = plan.step(k.connect)
    image = plan.step(k.push_image, cluster)
    policy = plan.step(k.apply_policy, cluster)
    pod = plan.step(k.create_pod, image, policy)
    tunnel = plan.step(k.open_tunnel, pod)
    plan.step(k.open_shell, tunnel)
    return plan


def endings(events: list[Event]) -> list[str]:
    return [f"{e.step} {e.phase}" for e in events if isinstance(e, StepEvent) and e.phase not in ("started", "ready")]


def test_when_all_goes_well_the_body_runs_with_the_outputs_and_leases_close_last_opened_first(go):
    k, events = Cluster(), []
    plan = start(k)

    async def main() -> None:
        async with running(plan, events.append) as outputs:
            assert outputs[plan["create pod"]] == "pod"
            assert anyio.current_time() - events[0].at == 1 + 30 + 5 + 1 + 1
            k.log.append("body")

    go(main)
    assert k.log == ["body", "shell closed", "tunnel closed"]
    assert endings(events)[:3] == ["open shell closed", "open tunnel closed", "create pod closed"]
    assert {*endings(events)[3:5]} == {"push image closed", "apply policy closed"}
    assert endings(events)[5:] == ["connect closed"]


def test_a_failure_takes_back_what_was_made_dependents_first_and_is_raised_alone(go):
    k, events = Cluster(fail="open tunnel"), []

    async def main() -> None:
        with pytest.raises(StepFailed) as failed:
            async with running(start(k), events.append):
                raise AssertionError("the body must not run")
        assert (failed.value.step, failed.value.what, failed.value.why) == (
            "open tunnel",
            "open tunnel is taken",
            "409",
        )
        assert (failed.value.exit_code, failed.value.leftovers) == (5, ())
        assert isinstance(failed.value.__cause__, NameTaken)

    go(main)
    assert k.log == ["pod undone", "policy undone"]
    assert endings(events)[:2] in (
        ["open tunnel failed", "open shell skipped"],
        ["open shell skipped", "open tunnel failed"],
    )
    assert {"create pod undone", "apply policy undone", "push image closed", "connect closed"} <= set(endings(events))


def test_what_stands_in_for_protection_is_withdrawn_after_what_it_protects_even_without_a_value(go):
    log: list[str] = []

    @asynccontextmanager
    async def policy() -> AsyncIterator[None]:
        try:
            yield
        finally:
            log.append("policy")

    @asynccontextmanager
    async def pod() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.sleep(5)
            log.append("pod")

    async def broken() -> None:
        await anyio.sleep(1)
        raise OSError("no")

    plan = Plan("p")
    guard = plan.step(policy)
    plan.step(pod, after=[guard])
    plan.step(broken)

    async def main() -> None:
        with pytest.raises(StepFailed, match="broken failed: OSError: no"):
            async with running(plan, lambda _: None):
                pass

    go(main)
    assert log == ["pod", "policy"]


def test_a_dying_lease_keeps_its_inputs_until_its_dependents_have_closed(go):
    k, events = Cluster(fail="carry"), []

    async def main() -> None:
        with pytest.raises(StepFailed) as failed:
            async with running(start(k), events.append):
                await anyio.sleep_forever()
        assert failed.value.step == "open tunnel"
        assert isinstance(failed.value.cause, ConnectionLost)
        assert failed.value.exit_code == 255

    go(main)
    assert k.log == ["shell closed"]
    assert endings(events)[:3] == ["open shell closed", "open tunnel failed", "create pod closed"]


def test_a_lease_that_ends_by_itself_without_an_error_is_a_failure_too(go):
    @asynccontextmanager
    async def short() -> AsyncIterator[None]:
        with anyio.move_on_after(5):
            yield

    plan, events = Plan("p"), []
    plan.step(short)

    async def main() -> None:
        with pytest.raises(StepFailed, match="short ended by itself"):
            async with running(plan, events.append):
                await anyio.sleep_forever()

    go(main)
    assert endings(events) == ["short failed"]


def test_a_cancellation_in_the_very_moment_of_the_commit_prevents_it(go):
    async def race(turns: int) -> None:
        async def last() -> None:
            await anyio.sleep(1)

        async def cancel() -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(1)
            scope.cancel()

        plan = Plan("p")
        plan.step(last)
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel)
                async with running(plan, lambda _: None):
                    raise AssertionError("the body must not run")

    for turns in [*range(10)] * 3:  # within one tick the order is that of going to sleep, on trio chance
        go(partial(race, turns))


def test_the_first_to_die_is_to_blame_even_if_its_dependents_fail_while_closing(go):
    @asynccontextmanager
    async def road() -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut)
            yield

    async def cut() -> None:
        await anyio.sleep(1)
        raise ConnectionLost("cut")

    @asynccontextmanager
    async def car() -> AsyncIterator[None]:
        yield
        raise OSError("no road")

    plan = Plan("p")
    plan.step(car, after=[plan.step(road)])

    async def main() -> None:
        with pytest.raises(StepFailed, match="cut") as failed:
            async with running(plan, lambda _: None):
                await anyio.sleep_forever()
        assert failed.value.step == "road"

    go(main)


def test_an_error_of_the_body_passes_unchanged_and_undoes_nothing(go):
    k, error = Cluster(), ValueError("the body's own")

    async def main() -> None:
        with pytest.raises(ValueError, match="own") as raised:
            async with running(start(k), lambda _: None):
                raise error
        assert raised.value is error

    go(main)
    assert k.log == ["shell closed", "tunnel closed"]


def test_a_cancellation_before_the_commit_undoes_and_leaves_no_error(go):
    k, events = Cluster(), []

    async def main() -> None:
        with anyio.move_on_after(36.5) as scope:
            async with running(start(k), events.append):
                raise AssertionError("the body must not run")
        assert scope.cancelled_caught

    go(main)
    assert k.log == ["pod undone", "policy undone"]
    assert "open tunnel cancelled" in endings(events)


def test_a_cancellation_after_the_commit_undoes_nothing(go):
    k = Cluster()

    async def main() -> None:
        with anyio.move_on_after(50) as scope:
            async with running(start(k), lambda _: None):
                await anyio.sleep_forever()
        assert scope.cancelled_caught

    go(main)
    assert k.log == ["shell closed", "tunnel closed"]


def test_a_closing_that_hangs_is_abandoned_after_the_grace_and_the_rest_closes(go):
    k, events = Cluster(hang="open tunnel"), []

    async def main() -> float:
        async with running(start(k), events.append, grace=4):
            before = anyio.current_time()
        return anyio.current_time() - before

    assert go(main) == 2 + 4
    assert endings(events)[:3] == ["open shell closed", "open tunnel abandoned", "create pod closed"]
    abandoned = next(e for e in events if e.phase == "abandoned")
    assert abandoned.leftovers == (Leftover("step", "open tunnel", "paude stop demo"),)


@pytest.mark.parametrize("own", [(), (Leftover("pod", "paude-demo-0", "oc delete pod paude-demo-0"),)])
def test_what_an_undo_could_not_remove_is_a_leftover_of_the_first_failure(go, own):
    error = PaudeError("the server is gone")
    error.leftovers = own
    k, events = Cluster(fail="open tunnel", undo_fails=error), []

    async def main() -> None:
        with pytest.raises(StepFailed) as failed:
            async with running(start(k), events.append):
                pass
        assert failed.value.step == "open tunnel"
        assert failed.value.leftovers == (own or (POD_STEP,))

    go(main)
    assert k.log == ["policy undone"]
    assert "create pod failed" in endings(events)


def test_leftovers_of_a_cancelled_plan_are_on_its_events(go):
    k, events = Cluster(undo_fails=OSError("gone")), []

    async def main() -> None:
        with anyio.move_on_after(36.5):
            async with running(start(k), events.append):
                pass

    go(main)
    assert [e.leftovers for e in events if e.phase == "failed"] == [
        (Leftover("step", "create pod", "paude stop demo"),)
    ]


def test_an_error_of_the_body_carries_what_could_not_be_closed(go):
    k = Cluster(hang="open tunnel")

    async def main() -> None:
        with pytest.raises(NameTaken) as raised:
            async with running(start(k), lambda _: None, grace=3):
                raise NameTaken("no")
        assert raised.value.leftovers == (Leftover("step", "open tunnel", "paude stop demo"),)

    go(main)


def test_a_step_that_shields_its_yield_is_taken_back_all_the_same(go):
    undone = []

    @asynccontextmanager
    async def stubborn() -> AsyncIterator[None]:
        with anyio.CancelScope(shield=True):
            try:
                yield
            except BaseException:
                undone.append("stubborn")
                raise

    async def broken() -> None:
        await anyio.sleep(1)
        raise OSError("no")

    plan = Plan("p")
    plan.step(stubborn)
    plan.step(broken)

    async def main() -> None:
        with pytest.raises(StepFailed, match="broken"):
            async with running(plan, lambda _: None):
                pass

    go(main)
    assert undone == ["stubborn"]


def test_an_interrupt_inside_a_step_passes_as_itself(go):
    async def interrupted() -> None:
        raise KeyboardInterrupt

    plan = Plan("p")
    plan.step(interrupted)

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            async with running(plan, lambda _: None):
                pass

    go(main)


def test_undoing_may_set_limits_of_its_own_behind_the_shield(go):
    log = []

    @asynccontextmanager
    async def pod() -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            with anyio.move_on_after(2) as limit:
                await anyio.sleep_forever()
            log.append(limit.cancelled_caught)
            await anyio.sleep(1)
            log.append("pod")
            raise

    async def broken() -> None:
        await anyio.sleep(1)
        raise OSError("no")

    plan = Plan("p")
    plan.step(pod)
    plan.step(broken)

    async def main() -> float:
        with pytest.raises(StepFailed, match="broken"):
            async with running(plan, lambda _: None, grace=5):
                pass
        return anyio.current_time()

    go(main)
    assert log == [True, "pod"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("committed", [True, False])
def test_ctrl_c_takes_back_before_the_commit_and_only_closes_after_it(backend, committed):
    log = []

    @asynccontextmanager
    async def pod() -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await anyio.lowlevel.checkpoint()
            log.append("undone")
            raise
        log.append("closed")

    async def press_ctrl_c(*_: object) -> None:
        await anyio.to_thread.run_sync(os.kill, os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    plan = Plan("p")
    made = plan.step(pod)
    if not committed:
        plan.step(press_ctrl_c, made)

    async def main() -> None:
        async with running(plan, lambda _: None):
            await press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert log == ["closed" if committed else "undone"]


def test_what_a_step_reports_becomes_its_events_and_the_body_reports_to_nobody(go):
    async def push() -> None:
        report.line("layer 1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)

    async def upload() -> None:
        report.progress(5, 10, "layers")

    events: list[Event] = []
    plan = Plan("p")
    plan.step(push)

    async def main() -> None:
        async with running(plan, events.append):
            report.line("nobody hears this")

    go(main)
    assert [e for e in events if not isinstance(e, StepEvent)] == [
        StepLog("push", "layer 1"),
        StepProgress("push", 5, 10, "layers"),
    ]


def test_an_empty_plan_just_runs_its_body(go):
    async def main() -> str:
        async with running(Plan("nothing"), lambda _: None):
            return "ran"

    assert go(main) == "ran"
