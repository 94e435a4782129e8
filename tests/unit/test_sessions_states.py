"""States of sessions, from the JSON of their pods."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.sessions import states
from paude.sessions.states import Seen, SessionState, derive, timed_out

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def container(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {}, **more}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def pod(*inits: dict[str, Any], agent: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"phase": "Pending", "initContainerStatuses": list(inits), **status}
    if agent is not None:
        body["containerStatuses"] = [agent]
    return {"metadata": {}, "status": body}


GATE = container("gate", RUNNING, started=True)
FENCED = container("fence", DONE)


def unschedulable(message: str) -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def test_without_a_pod_the_session_is_stopped() -> None:
    assert derive(None).state is SessionState.STOPPED


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("0/1 nodes are available: 1 Insufficient memory.", "memory"),
        ("pod has unbound immediate PersistentVolumeClaims", "storage class"),
        ('persistentvolumeclaim "paude-x" not found', "storage class"),
        ("1 node(s) had untolerated taint {gpu: }", "toleration"),
    ],
)
def test_a_pod_that_no_node_takes_says_why_and_what_to_do(message: str, word: str) -> None:
    seen = derive(unschedulable(message))

    assert seen.state is SessionState.PENDING
    assert message in seen.reason
    assert word in seen.hint


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_names_the_container(reason: str) -> None:
    seen = derive(pod(GATE, FENCED, agent=container("agent", waiting(reason, "manifest unknown"))))

    assert seen.state is SessionState.FAILED
    assert "image of agent" in seen.reason
    assert "manifest unknown" in seen.reason


def test_a_crash_loop_tells_how_the_container_ended() -> None:
    gate = {**container("gate", waiting("CrashLoopBackOff", "back-off")), "lastState": ended(137, reason="OOMKilled")}

    seen = derive(pod(gate))

    assert seen.state is SessionState.FAILED
    assert seen.reason == "gate keeps ending: out of memory; give it more"


def test_a_running_fence_is_shown_as_such() -> None:
    assert derive(pod(GATE, container("fence", RUNNING))).state is SessionState.FENCING


def test_an_open_fence_names_the_way_out() -> None:
    verdict = json.dumps({"state": "open", "targets": [
        {"name": "api-server", "address": "10.96.0.1:443", "result": "open"},
        {"name": "canary", "address": "10.1.2.3:3129", "result": "closed"}]})  # fmt: skip
    looping = {**container("fence", waiting("CrashLoopBackOff")), "lastState": ended(3, verdict)}

    for fence in (container("fence", ended(3, verdict)), looping):
        seen = derive(pod(GATE, fence))
        assert seen.state is SessionState.OPEN
        assert "api-server (10.96.0.1:443)" in seen.reason
        assert "canary" not in seen.reason


def test_a_fence_that_failed_once_and_is_clean_now_is_no_failure() -> None:
    fence = {**FENCED, "lastState": ended(1, "proxy unreachable")}

    seen = derive(pod(GATE, fence, agent=container("agent", RUNNING, started=True), phase="Running"))

    assert seen == Seen(SessionState.RUNNING)


def test_an_agent_without_leave_waits() -> None:
    agent = container("agent", RUNNING, started=False)

    assert derive(pod(GATE, FENCED, agent=agent)).state is SessionState.WAITING
    assert derive(pod(GATE, FENCED, agent=agent), {"seeded": False}).state is SessionState.SEEDING
    assert derive(pod(GATE, FENCED, agent=agent), {"seeded": True, "leave": True}).state is SessionState.RUNNING


def test_a_parked_session_gives_the_gates_reason() -> None:
    agent = container("agent", RUNNING, started=True)

    seen = derive(pod(GATE, FENCED, agent=agent, phase="Running"), {"parked": "idle for 4 h"})

    assert (seen.state, seen.reason) == (SessionState.PARKED, "idle for 4 h")


def test_without_the_gate_a_parked_session_is_known_by_its_last_words() -> None:
    said = {"terminated": {"exitCode": 0, "message": "parked: idle for 4h: no output"}}
    waits = {"name": "agent", "started": False, "state": RUNNING, "lastState": said}
    seen = derive(pod(GATE, FENCED, agent=waits, phase="Running"))
    assert (seen.state, seen.reason) == (SessionState.PARKED, "idle for 4h: no output")
    assert timed_out(seen)
    again = {**waits, "started": True}
    assert derive(pod(GATE, FENCED, agent=again, phase="Running")).state is SessionState.RUNNING
    released = derive(pod(GATE, FENCED, agent=waits, phase="Running"), {"leave": True})
    assert released.state is SessionState.RUNNING
    by_hand = derive(pod(GATE, FENCED, agent=waits, phase="Running"), {"parked": "stopped by its owner"})
    assert not timed_out(by_hand)


def test_the_reasons_are_those_that_the_gate_gives() -> None:
    judge = (Path(__file__).parents[2] / "containers/pod/internal/life/judge.go").read_text()
    assert set(re.findall(r'(?:idle|old)For *= "(.*?)"', judge)) == set(states._TIME_IS_UP)


def test_an_agent_that_was_parked_twice_is_parked_and_no_failure() -> None:
    agent = {**container("agent", waiting("CrashLoopBackOff")), "lastState": ended(0, "")}
    here = pod(GATE, FENCED, agent=agent, phase="Running")

    assert derive(here, {"parked": "idle for 4 h"}).state is SessionState.PARKED
    assert derive(here).state is SessionState.WAITING
    failing = {**agent, "lastState": ended(1, "")}
    assert derive(pod(GATE, FENCED, agent=failing, phase="Running")).state is SessionState.FAILED


def test_a_pod_that_goes_and_one_that_was_evicted_are_told_apart() -> None:
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}}
    evicted = {"metadata": {}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}

    assert derive(going).state is SessionState.STOPPING
    assert derive(evicted).state is SessionState.EVICTED
    assert "low on memory" in derive(evicted).reason


def test_what_the_agent_wrote_is_made_harmless() -> None:
    agent = container("agent", ended(1, "\x1b]0;owned\x07\x1b[2J" + "x" * 10_000))

    seen = derive(pod(GATE, FENCED, agent=agent, phase="Running"))

    assert seen.state is SessionState.ENDED
    assert seen.reason.isprintable()
    assert len(seen.reason) < 1000


@given(JSON, JSON)
def test_no_answer_of_a_cluster_breaks_it(status: Any, gate: Any) -> None:
    assert derive({"metadata": {}, "status": status}, gate).state


@given(st.sampled_from(["state", "lastState", "name", "started"]), JSON)
def test_no_container_status_breaks_it(key: str, value: Any) -> None:
    for name in ("gate", "fence", "agent"):
        broken = {**container(name, RUNNING), key: value}
        assert derive(pod(broken, agent=broken)).state


@given(JSON)
def test_no_verdict_of_a_fence_breaks_it(verdict: Any) -> None:
    seen = derive(pod(GATE, container("fence", ended(3, json.dumps(verdict)))))

    assert seen.state is SessionState.OPEN
