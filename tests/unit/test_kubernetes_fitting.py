"""What is proposed where a quota refuses."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes.fitting import counts, others, within_quota
from paude.backends.kubernetes.surroundings import Room
from paude.errors import QuotaExceeded
from paude.settings.quantity import amount
from paude.settings.table import Resources

WANTED = Resources()  # 1 CPU and 4Gi, 4 CPU and 8Gi
MI = 1024**2
SESSION = {
    "requests.cpu": 1100,
    "limits.cpu": 5000,
    "requests.memory": 4500 * MI,
    "limits.memory": 9 * 1024 * MI,
}
ALL = dict.fromkeys(SESSION, 1 << 60)  # everything that is in use belongs to others


BOTH = (
    "exceeded quota: q, requested: limits.cpu=5,requests.memory=4500Mi, used: limits.cpu=0,requests.memory=0, "
    "limited: limits.cpu=1500m,requests.memory=2Gi"
)


def hint(why: str) -> str:
    answer = within_quota(QuotaExceeded("refused", why=why, hint="as before"), WANTED, SESSION, ALL)
    assert answer is not None
    return answer.hint or ""


@pytest.mark.parametrize(
    ("why", "flags"),
    [
        ("exceeded quota: q, requested: requests.cpu=1100m, used: requests.cpu=300m, limited: requests.cpu=1",
         "--cpu-request 600m"),
        ("exceeded quota: q, requested: cpu=1100m, used: cpu=0, limited: cpu=1", "--cpu-request 900m"),
        ("exceeded quota: q, requested: limits.memory=9Gi, used: limits.memory=0, limited: limits.memory=6Gi",
         "--memory 5120Mi"),
        (BOTH, "--cpu 500m --cpu-request 500m --memory-request 1600Mi"),
    ],
)  # fmt: skip
def test_what_fits_is_proposed(why: str, flags: str) -> None:
    assert hint(why) == f"what is left is enough for `paude start {flags}`"


def test_what_is_proposed_is_given_as_settings() -> None:
    answer = within_quota(QuotaExceeded("refused", why=BOTH), WANTED, SESSION, {})
    assert answer is not None
    assert answer.fits == {
        "resources.limits.cpu": "500m",
        "resources.requests.cpu": "500m",
        "resources.requests.memory": "1600Mi",
    }


def test_where_nothing_is_left_nothing_is_proposed() -> None:
    why = "exceeded quota: q, requested: requests.cpu=1100m, used: requests.cpu=2, limited: requests.cpu=2"
    assert "paude stop" in hint(why)


@pytest.mark.parametrize("why", ["", "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0", "x"])
def test_what_no_flag_can_make_smaller_is_told_as_before(why: str) -> None:
    assert hint(why) == "as before"


CPU = "exceeded quota: q, requested: limits.cpu=5, used: limits.cpu=0, limited: limits.cpu=3"
ROOMY = Room("other", "limits.memory", "9Gi", "0")
ROOMS = {
    "one that the first pod fits into, and all together do not": (
        [Room("q", "limits.cpu", "3", "0"), Room("q", "limits.memory", "8704Mi", "0")],
        "--cpu 2000m --memory 7680Mi",
        ["q leaves 8704Mi of limits.memory; the session's pods ask for 9216Mi"],
    ),
    "one of another quota, in the short words": (
        [ROOMY, Room("other", "memory", "3Gi", "1Gi")],
        "--cpu 2000m --memory-request 1600Mi",
        ["other leaves 2048Mi of requests.memory; the session's pods ask for 4500Mi"],
    ),
    "the narrower one of two": (
        [ROOMY, Room("a", "limits.memory", "8Gi", "0"), Room("b", "limits.memory", "6Gi", "0")],
        "--cpu 2000m --memory 5120Mi",
        ["a leaves 8192Mi of limits.memory; the session's pods ask for 9216Mi",
         "b leaves 6144Mi of limits.memory; the session's pods ask for 9216Mi"],
    ),
    "none more": ([ROOMY, Room("other", "requests.storage", "1Gi", "1Gi")], "--cpu 2000m", []),
    "one that is written oddly": ([Room("odd", "limits.memory", "1e1Gi", "0")], "--cpu 2000m", []),
}  # fmt: skip


@pytest.mark.parametrize("case", ROOMS)
def test_all_that_the_sessions_pods_exceed_together_is_named_at_once(case: str) -> None:
    rooms, flags, named = ROOMS[case]
    answer = within_quota(QuotaExceeded("refused", why=CPU), WANTED, SESSION, ALL, rooms)
    assert answer is not None
    assert answer.hint == f"what is left is enough for `paude start {flags}`"
    assert (answer.why or "").splitlines() == [CPU, *named]


def test_what_only_another_quota_does_not_let_through_is_told_without_waiting() -> None:
    why = "exceeded quota: q, requested: limits.cpu=5, used: limits.cpu=3, limited: limits.cpu=6"
    rooms = [Room("other", "limits.memory", "6Gi", "0")]
    assert within_quota(QuotaExceeded("refused", why=why), WANTED, SESSION, {}) is None
    answer = within_quota(QuotaExceeded("refused", why=why), WANTED, SESSION, {}, rooms)
    assert answer is not None
    assert answer.fits == {"resources.limits.memory": "5120Mi"}


@given(used=st.integers(0, 3000), limited=st.integers(0, 3000), beside=st.integers(1, 300))
def test_what_is_proposed_fits(used: int, limited: int, beside: int) -> None:
    requested = 1000 + beside
    q = (f"requested: requests.cpu={requested}m", f"used: requests.cpu={used}m", f"limited: requests.cpu={limited}m")
    refused = QuotaExceeded("refused", why=f"exceeded quota: q, {', '.join(q)}")
    answer = within_quota(refused, WANTED, {"requests.cpu": requested}, ALL)
    if answer is None:
        assert requested + used <= limited
        return
    found = re.search(r"`(.*)`", answer.hint or "")
    assert found
    words = shlex.split(found[1])
    if words[:2] == ["paude", "start"]:
        own = round(amount(words[words.index("--cpu-request") + 1]) * 1000)
        assert 0 < own < 1000
        assert own + beside + used <= limited
    else:
        assert limited - used - beside < 50


# --- whatever is refused first, and whoever is on his way out at that moment


def pod(name: str, cpu: str, *, ends: bool = False, allowlist: str = "", phase: str = "Running") -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "labels": {"paude.io/allowlist": allowlist} if allowlist else {}}
    meta |= {"deletionTimestamp": "2026-11-27T12:00:00Z"} if ends else {}
    containers = [{"resources": {"limits": {"cpu": cpu}}}]
    return {"metadata": meta, "spec": {"containers": containers}, "status": {"phase": phase}}


# The agent wants 4 processors; the gate has 2 and the proxy 1.
OURS = [
    {"initContainers": [{"restartPolicy": "Always", "resources": {"limits": {"cpu": "2"}}}],
     "containers": [{"resources": {"limits": {"cpu": "4"}}}]},
    pod("proxy", "1")["spec"],
]  # fmt: skip
PROXY = pod("paude-proxy-1-x", "1", allowlist="1")
FORMER = pod("paude-proxy-1-y", "1", allowlist="1", ends=True)
AGENT = pod("paude-ours-0", "6")
ORDERS = {
    "the pod before there is a proxy": (6, 0, 5, []),
    "the pod, and the proxy is there by now": (6, 0, 5, [PROXY]),
    "the pod after the proxy": (6, 1, 5, [PROXY]),
    "the pod while a proxy of the same list ends": (6, 2, 5, [FORMER, PROXY]),
    "the pod before the proxy, while one of the same list ends": (6, 1, 5, [FORMER]),
    "the pod while the proxy of another list ends": (6, 2, 5, [pod("other", "1", allowlist="2", ends=True), PROXY]),
    "the pod while that of a former session ends": (6, 5, 5, [pod("paude-former-0", "5", ends=True)]),
    "the pod when a former one has gone but still counts": (6, 3, 5, []),
    "the pod beside one that is done and does not count": (6, 1, 5, [pod("job", "3", phase="Succeeded"), PROXY]),
    "the pod beside a session that stays": (6, 3, 7, [pod("paude-other-0", "2"), PROXY]),
    "the pod beside a session that stays, before the proxy": (6, 2, 7, [pod("paude-other-0", "2")]),
    "the proxy after the pod": (1, 6, 5, [AGENT]),
    "the proxy after the pod, beside a session that stays": (1, 8, 7, [AGENT, pod("paude-other-0", "2")]),
    "what others have is written oddly, so it is what is in use": (6, 2, 7, [pod("odd", "2e0")]),
}


def refusal(requested: int, used: int, limited: int) -> QuotaExceeded:
    words = f"requested: limits.cpu={requested}, used: limits.cpu={used}, limited: limits.cpu={limited}"
    return QuotaExceeded("refused", why=f"exceeded quota: small, {words}")


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_fits_in_whatever_order_the_session_was_refused(order: str) -> None:
    *words, there = ORDERS[order]
    answer = within_quota(refusal(*words), WANTED, counts(OURS), counts(others(there, "paude-ours-0", "1")))
    assert answer is not None
    assert answer.hint == "what is left is enough for `paude start --cpu 2000m`"


@pytest.mark.parametrize("ending", [FORMER, pod("paude-former-0", "5", ends=True)], ids=["proxy", "session"])
def test_what_fits_once_others_have_ended_is_not_made_smaller(ending: dict[str, Any]) -> None:
    there = [ending, PROXY]
    assert within_quota(refusal(6, 6, 7), WANTED, counts(OURS), counts(others(there, "paude-ours-0", "1"))) is None


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        ({"containers": [{}, {"resources": {"limits": {"cpu": "500m"}}}]}, 500),
        ({"initContainers": [{"resources": {"limits": {"cpu": "3"}}}], "containers": [{}]}, 3000),
        ({"initContainers": [{"resources": {"limits": {"cpu": "3"}}}], **OURS[1]}, 3000),
        ({"initContainers": [*OURS[0]["initContainers"], {"resources": {"limits": {"cpu": "3"}}}], "containers": []},
         5000),
        ({**OURS[1], "overhead": {"cpu": "250m"}}, 1250),
    ],
)  # fmt: skip
def test_a_pod_counts_for_the_most_that_it_needs_at_once(spec: dict[str, Any], most: int) -> None:
    assert counts([spec])["limits.cpu"] == most
