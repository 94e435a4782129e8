"""What is proposed where a quota refuses."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes.fitting import needs, within_quota
from paude.errors import QuotaExceeded
from paude.settings.quantity import amount
from paude.settings.table import Proxy, Resources

WANTED = Resources()  # 1 CPU and 4Gi, 4 CPU and 8Gi


BOTH = (
    "exceeded quota: q, requested: limits.cpu=5,requests.memory=4500Mi, used: limits.cpu=0,requests.memory=0, "
    "limited: limits.cpu=1500m,requests.memory=2Gi"
)


def hint(why: str) -> str:
    return within_quota(QuotaExceeded("refused", why=why, hint="as before"), WANTED).hint or ""


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


def test_what_is_proposed_is_given_as_settings_and_leaves_room_for_what_is_not_counted_yet() -> None:
    refused = QuotaExceeded("refused", why=BOTH.replace("limits.cpu=1500m", "limits.cpu=3"))
    assert within_quota(refused, WANTED).fits["resources.limits.cpu"] == "2000m"
    beside = within_quota(refused, WANTED, needs(Proxy())).fits
    assert beside["resources.limits.cpu"] == "1000m"


def test_where_nothing_is_left_nothing_is_proposed() -> None:
    why = "exceeded quota: q, requested: requests.cpu=1100m, used: requests.cpu=2, limited: requests.cpu=2"
    assert "paude stop" in hint(why)


@pytest.mark.parametrize("why", ["", "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0", "x"])
def test_what_no_flag_can_make_smaller_is_told_as_before(why: str) -> None:
    assert hint(why) == "as before"


@given(used=st.integers(0, 3000), limited=st.integers(0, 3000), beside=st.integers(1, 300))
def test_what_is_proposed_fits(used: int, limited: int, beside: int) -> None:
    requested = 1000 + beside
    if requested + used <= limited:
        return
    q = (f"requested: requests.cpu={requested}m", f"used: requests.cpu={used}m", f"limited: requests.cpu={limited}m")
    said = hint(f"exceeded quota: q, {', '.join(q)}")
    found = re.search(r"`(.*)`", said)
    assert found
    words = shlex.split(found[1])
    if words[:2] == ["paude", "start"]:
        own = round(amount(words[words.index("--cpu-request") + 1]) * 1000)
        assert 0 < own < 1000
        assert own + beside + used <= limited
    else:
        assert limited - used - beside < 50
