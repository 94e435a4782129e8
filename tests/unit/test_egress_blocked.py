"""What the proxy's log says was refused."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from paude.egress import blocked

LINE = {
    "time": "1700000000.123",
    "client": "10.0.0.1",
    "door": "3128",
    "method": "CONNECT",
    "host": "evil.test",
    "port": "443",
    "sni": "-",
    "tls": "-",
    "result": "TCP_DENIED",
    "status": "403",
}


def line(**changes: str) -> str:
    return json.dumps({**LINE, **changes})


def test_refusals_of_the_same_target_are_counted_and_the_latest_comes_first() -> None:
    log = [
        line(),
        line(time="1700000009.5"),
        line(host="other.test", time="1700000003"),
        line(result="TCP_TUNNEL", status="200"),
        "2023/11/14 22:13:20| some other line",
        "",
        "[]",
        "{}",
    ]
    first, second = blocked.denied(log)
    assert first == blocked.Denied("evil.test", 443, "CONNECT", 2, 1700000009.5)
    assert second.host == "other.test"


def test_refusals_that_are_told_as_they_come_are_counted_too() -> None:
    tally = blocked.Tally()
    told = [tally.add(one) for one in map(blocked.parse, (line(), line(host="other.test"), line(time="9"))) if one]
    assert [(one.host, one.count) for one in told] == [("evil.test", 1), ("other.test", 1), ("evil.test", 2)]
    assert told[-1].last == 1700000000.123


def test_a_tunnel_that_was_ended_for_its_server_name_is_a_refusal() -> None:
    ended = line(door="3130", host="api.test", tls="terminate", result="NONE_NONE", status="200")
    assert blocked.parse(ended) == blocked.Denied("api.test", 443, "CONNECT", 1, 1700000000.123, "no server name")
    foreign = blocked.parse(line(door="3130", host="api.test", tls="terminate", sni="evil%1B.test", result="NONE_NONE"))
    assert foreign is not None
    assert foreign.why == "asked for evil?.test in the tunnel"
    assert blocked.parse(line(door="3130", tls="splice", result="TCP_TUNNEL")) is None


def test_only_what_a_list_could_hold_is_offered() -> None:
    log = [
        line(),
        line(host="other.test", port="22"),
        line(host="plain.test", port="80", method="GET"),
        line(host="198.51.100.1"),
        line(door="3130", host="listed.test", tls="terminate", result="NONE_NONE"),
    ]
    assert list(blocked.allowable(blocked.denied(log))) == ["evil.test"]


def test_a_session_is_shown_its_own_refusals_and_none_of_whoever_had_its_address_before() -> None:
    log = [line(), line(client="10.0.0.2", host="theirs.test"), line(time="1600000000", host="earlier.test")]
    assert [one.host for one in blocked.denied(log, "10.0.0.1", since=1690000000)] == ["evil.test"]


@given(st.text(max_size=80))
def test_a_line_that_is_none_is_passed_over_and_hides_no_other(text: str) -> None:
    assert [one.host for one in blocked.denied([text, line(), text])] == ["evil.test"]


@given(st.binary(max_size=40), st.text(max_size=8))
def test_nothing_shown_holds_a_control_character(host: bytes, port: str) -> None:
    escaped = "".join(f"%{byte:02X}" for byte in host)
    shown = blocked.parse(line(host=escaped, method=escaped, port=port))
    assert shown is not None
    assert (shown.host + shown.method).isprintable()
