"""Why a pod does not run: what is final is an error at once, what can still turn out well is news."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes.reasons import (
    Looks,
    concerns,
    deployment_failure,
    event_failure,
    event_news,
    open_egress,
    pod_failure,
    running,
)
from paude.errors import AdmissionDenied, EgressOpen, ImageError, PaudeError, PodFailed, QuotaExceeded


def pod(*statuses: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "paude-x-0"},
        "status": {"initContainerStatuses": list(init), "containerStatuses": list(statuses), **status},
    }


def waiting(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "image": "r.test/x:1", "state": {"waiting": {"reason": reason, "message": message}}}


def ended(name: str, code: int, message: str = "", *, again: bool = False) -> dict[str, Any]:
    how = {"terminated": {"exitCode": code, "message": message}}
    if again:
        return {"name": name, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": how}
    return {"name": name, "state": how}


@pytest.mark.parametrize(
    "message",
    [
        'failed to resolve reference "r.test/x:1": r.test/x:1: not found',
        "pull access denied, repository does not exist or may require authorization",
        "unexpected status from HEAD request: 401 Unauthorized",
        "no basic auth credentials: authentication required",
    ],
)
def test_an_image_that_nobody_may_pull_is_an_error_to_whoever_looks_once(message: str) -> None:
    found = pod_failure(pod(waiting("agent", "ErrImagePull", message)))
    assert isinstance(found, ImageError)
    assert "r.test/x:1" in found.what
    assert message in found.why
    assert "--pull-secret" in found.hint


UNAUTHORIZED, BACKS_OFF = "unexpected status from HEAD request: 401 Unauthorized", "Back-off pulling image"
NO_LOGIN = "pull access denied: authorization failed: no basic auth credentials"
FIRST = waiting("agent", "ErrImagePull", UNAUTHORIZED)
WAITS = waiting("agent", "ImagePullBackOff", BACKS_OFF)
ABSENT, LOST = (waiting("agent", "ErrImagePull", why) for why in ("r.test/x:1: not found", "dial tcp: i/o timeout"))


@pytest.mark.parametrize(
    ("seen", "final"),
    [
        ([FIRST], False),
        ([waiting("agent", "ContainerCreating"), waiting("agent", "ErrImagePull", NO_LOGIN), WAITS], False),
        ([FIRST, FIRST, WAITS, WAITS], False),
        ([FIRST, WAITS, {"name": "agent", "state": {"running": {}}}], False),
        ([FIRST, WAITS, FIRST], True),
        ([ABSENT], True),
        ([FIRST, WAITS, ABSENT], True),
        ([LOST, WAITS], True),
        ([WAITS], True),
    ],
)
def test_one_refused_login_is_waited_over_and_the_next_is_final(seen: list[dict[str, Any]], final: bool) -> None:
    """A kubelet whose cache has not got the pull secret yet asks the registry without it."""
    looks = Looks()
    found = [looks.failure(pod(status)) for status in seen]
    assert [one is not None for one in found] == [False] * (len(seen) - 1) + [final]
    assert found[-1] is None or isinstance(found[-1], ImageError)


def test_an_image_that_is_not_there_any_more_is_said_to_be_pushed_again_by_the_next_start() -> None:
    gone, kept = pod_failure(pod(ABSENT)), pod_failure(pod(WAITS))
    assert "the next `paude start` pushes it again" in gone.hint  # type: ignore[union-attr]
    assert "pushes it again" not in kept.hint  # type: ignore[union-attr]


def test_a_refused_login_of_another_container_is_a_first_one_too() -> None:
    before = pod(waiting("agent", "ImagePullBackOff", BACKS_OFF))
    assert pod_failure(pod(waiting("fence", "ErrImagePull", UNAUTHORIZED)), before) is None


def test_another_pod_has_a_first_refusal_of_its_own() -> None:
    looks, other = Looks(), {**pod(FIRST), "metadata": {"name": "paude-x-0", "uid": "2"}}
    assert looks.failure(pod(FIRST)) is looks.failure(pod(WAITS)) is looks.failure(other) is None


def test_a_pull_that_failed_on_the_way_is_tried_again() -> None:
    assert pod_failure(pod(waiting("agent", "ErrImagePull", "dial tcp: i/o timeout"))) is None


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_a_pull_that_was_given_up_is_an_error(reason: str) -> None:
    assert isinstance(pod_failure(pod(waiting("gate", reason, "whatever"))), ImageError)


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_made_is_an_error_with_its_name(reason: str) -> None:
    found = pod_failure(pod(waiting("agent", reason, 'secret "s" not found')))
    assert isinstance(found, PodFailed)
    assert "agent" in found.what
    assert 'secret "s" not found' in found.why


@pytest.mark.parametrize("reason", ["PodInitializing", "ContainerCreating", ""])
def test_what_is_still_on_its_way_is_no_error(reason: str) -> None:
    assert pod_failure(pod(waiting("agent", reason), init=(waiting("gate", reason),))) is None


def test_the_agent_may_end_as_it_likes() -> None:
    for again in (False, True):
        assert pod_failure(pod(ended("agent", 1, "bye", again=again))) is None


def test_a_gate_that_ends_is_an_error_with_its_last_words() -> None:
    found = pod_failure(pod(init=(ended("gate", 1, "no volume"),)))
    assert isinstance(found, PodFailed)
    assert "gate" in found.what
    assert found.why == "no volume"


def test_a_fence_that_was_ended_is_started_again_by_the_kubelet() -> None:
    assert pod_failure(pod(init=(ended("fence", 137),))) is None
    assert isinstance(pod_failure(pod(init=(ended("fence", 1, "no proxy", again=True),))), PodFailed)
    assert pod_failure(pod(init=(ended("fence", 0),))) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_fence_that_found_a_way_out_names_it(again: bool) -> None:
    targets = [
        {"name": "api", "address": "10.96.0.1:443", "result": "open"},
        {"name": "dns", "address": "10.96.0.10:53", "result": "closed"},
    ]
    found = pod_failure(pod(init=(ended("fence", 3, json.dumps({"targets": targets}), again=again),)))
    assert isinstance(found, EgressOpen)
    assert found.exit_code == 3
    assert "api (10.96.0.1:443)" in found.why
    assert "dns" not in found.why


@pytest.mark.parametrize(
    "verdict", ["", "no JSON", "[]", '{"targets": 3}', '{"targets": [1]}', '{"targets": [{"result": "open"}]}']
)
def test_a_verdict_that_makes_no_sense_is_an_open_fence_all_the_same(verdict: str) -> None:
    assert isinstance(open_egress(verdict), EgressOpen)


def test_a_pod_that_has_failed_says_why() -> None:
    found = pod_failure(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert isinstance(found, PodFailed)
    assert "Evicted" in found.why
    assert "low on resource" in found.why


def test_running_is_what_runs_now() -> None:
    there = pod(init=({"name": "gate", "state": {"running": {}}},))
    assert running(there, "gate")
    assert not running(there, "agent")
    assert not running(pod(init=(waiting("gate", "x"),)), "gate")
    assert not running({"metadata": {}}, "gate")


def event(reason: str, message: str, kind: str = "Warning") -> dict[str, Any]:
    return {"reason": reason, "message": message, "type": kind}


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [("exceeded quota: small", QuotaExceeded), ('violates PodSecurity "restricted:latest"', AdmissionDenied)],
)
def test_a_pod_that_may_not_be_made_is_an_error_in_the_clusters_words(refusal: str, kind: type[PaudeError]) -> None:
    words = f'create Pod paude-x-0 in StatefulSet paude-x failed error: pods "paude-x-0" is forbidden: {refusal}'
    found = event_failure(event("FailedCreate", words))
    assert type(found) is kind
    assert found.why.startswith('pods "paude-x-0" is forbidden')


def test_storage_that_will_never_come_is_an_error() -> None:
    none = event_failure(
        event("FailedBinding", "no persistent volumes available and no storage class is set", "Normal")
    )
    assert isinstance(none, PodFailed)
    assert "--storage-class" in none.hint
    wrong = event_failure(event("ProvisioningFailed", 'storageclass.storage.k8s.io "nope" not found'))
    assert isinstance(wrong, PodFailed)
    assert "nope" in wrong.why


def test_who_asks_for_more_than_nodes_have_is_told_what_asks_for_less() -> None:
    news = event_news(event("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.")) or ""
    assert news.endswith("`paude start --cpu-request 250m --memory-request 1Gi` asks for less")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedScheduling", "0/3 nodes are available: 3 node(s) had untolerated taints."),
        ("ProvisioningFailed", "rate limited, will retry"),
        ("FailedMount", "MountVolume.SetUp failed"),
        ("FailedCreate", "the server was unable to return a response in time"),
    ],
)
def test_what_can_turn_out_well_is_news_and_no_error(reason: str, message: str) -> None:
    assert event_failure(event(reason, message)) is None
    assert event_news(event(reason, message)) == f"{reason}: {message}"


def test_what_goes_well_is_no_news() -> None:
    assert event_news(event("Scheduled", "assigned", "Normal")) is None
    assert event_news(event("FailedScheduling", "x", "Normal")) is None


def test_the_pods_of_the_proxy_that_are_not_made_are_an_error() -> None:
    message = 'pods "paude-proxy-1" is forbidden: exceeded quota: small'
    failed = {"type": "ReplicaFailure", "status": "True", "message": message}
    assert isinstance(deployment_failure({"status": {"conditions": [failed]}}), QuotaExceeded)
    assert deployment_failure({"status": {"conditions": [{**failed, "status": "False"}]}}) is None
    assert deployment_failure({"status": {}}) is None
    assert deployment_failure({}) is None


@given(st.text(), st.text())
def test_foreign_words_never_reach_the_terminal_as_they_are(reason: str, message: str) -> None:
    dirty = f"\x1b]0;{message}\x07\x1b[2J{message}"
    told = [
        str(pod_failure(pod(waiting("agent", "ImagePullBackOff", dirty)))),
        str(pod_failure(pod(init=(ended("gate", 1, dirty),)))),
        event_news(event("FailedMount", dirty)) or "",
        str(open_egress(dirty)),
        str(open_egress(json.dumps({"targets": [{"name": dirty, "address": dirty, "result": "open"}]}))),
    ]
    for text in told:
        assert "\x1b" not in text


@pytest.mark.parametrize(
    "status",
    [
        ended("gate", 255, "exec /opt/paude/bin/paude-pod: exec format error", again=True),
        ended("gate", 1, "exec /opt/paude/bin/paude-pod: exec format error"),
        waiting("gate", "RunContainerError", 'exec: "/opt/paude/bin/paude-pod": exec format error'),
    ],
)
def test_a_node_of_another_platform_stops_at_the_gate(status: dict[str, Any]) -> None:
    found = pod_failure(pod(init=(status,)))
    assert isinstance(found, ImageError)
    assert "platform" in found.what
    assert "PAUDE_PLATFORM" in found.hint


def test_an_event_of_an_earlier_stateful_set_of_that_name_does_not_count() -> None:
    about = {"involvedObject": {"kind": "StatefulSet", "name": "paude-x", "uid": "old"}}
    of_pod = {"involvedObject": {"kind": "Pod", "name": "paude-x-0", "uid": "any"}}
    names = {"paude-x", "paude-x-0"}

    assert not concerns(about, names, {"metadata": {"uid": "new"}})
    assert concerns(about, names, {"metadata": {"uid": "old"}})
    assert concerns(about, names, None)
    assert concerns(of_pod, names, {"metadata": {"uid": "new"}})
    assert not concerns(of_pod, {"paude-y"}, None)
