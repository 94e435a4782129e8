"""What the agent says of itself is data: read, bounded, and never obeyed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.images import hooks
from paude.images.agents import agent
from paude.sessions.activity import LONGEST, Activity, Doing, parse
from paude.ssh.filter import TerminalFilter
from paude.ssh.notify import APART_S, Notifier
from paude.ssh.screen import PassThrough

NOTE = b"\x1b]9;paude: demo waits for you\x07"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("working", Activity(Doing.WORKING)),
        ("waiting ", Activity(Doing.WAITING)),
        ("waiting Claude needs your permission", Activity(Doing.WAITING, "Claude needs your permission")),
        ('{"at": "2026-01-01T00:00:00Z", "code": 1}', Activity(Doing.ENDED, code=1)),
        ("", None),
        ("ended", None),
        ("unknown", None),
        ('{"code": "1"}', None),
        ("{", None),
        ("[1]", None),
        ("rm -rf /", None),
    ],
)  # fmt: skip
def test_a_line_is_a_state_or_nothing(line: str, told: Activity | None) -> None:
    assert parse(line) == told


@given(st.text(max_size=4 * LONGEST), st.sampled_from(["", "waiting ", "working ", "{"]))
def test_whatever_it_says_is_short_and_steers_no_terminal(text: str, begin: str) -> None:
    found = parse(begin + text)
    if found is not None:
        assert len(found.message) <= LONGEST
        assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in found.message)


def test_claude_gets_the_hooks_before_the_users_words() -> None:
    program = agent("claude", "linux/amd64").program
    assert program[:2] == ("claude", "--settings")
    told = json.loads(program[2])["hooks"]
    assert {"UserPromptSubmit", "PostToolUse", "Notification", "Stop", "SessionStart"} == set(told)
    assert "claude" in hooks.REPORTING
    assert agent("shell", "linux/amd64").name not in hooks.REPORTING


# --- the bell


def clocked(times: list[float]) -> Notifier:
    return Notifier(TerminalFilter(), "demo", clock=lambda: times[0])


def test_a_bell_becomes_a_notification_in_paudes_words() -> None:
    assert clocked([0]).feed(b"a\x07b") == b"a\x07b" + NOTE


@pytest.mark.parametrize("quiet", [b"text", b"\x1b]0;title\x07", b"\x1b]8;;https://a.test\x07x\x1b]8;;\x07", b""])
def test_what_only_ends_with_the_same_byte_is_no_bell(quiet: bytes) -> None:
    assert NOTE not in clocked([0]).feed(quiet)


def test_a_notification_of_the_agents_own_does_not_pass() -> None:
    assert clocked([0]).feed(b"\x1b]9;click here\x07x") == b"x"
    assert clocked([0]).feed(b"\x1b]777;notify;a;b\x07x") == b"x"


def test_a_title_that_is_cut_in_two_is_no_bell() -> None:
    notifier = clocked([0])
    assert NOTE not in notifier.feed(b"\x1b]0;ti") + notifier.feed(b"tle\x07")


def test_ringing_all_the_time_notifies_now_and_then() -> None:
    times = [0.0]
    notifier, told = clocked(times), 0
    for second in range(61):
        times[0] = float(second)
        told += NOTE in notifier.feed(b"\x07" * 50)
    assert told == 60 / APART_S + 1


@given(st.binary(max_size=60))
def test_nothing_is_taken_from_what_passes(data: bytes) -> None:
    assert Notifier(PassThrough(), "demo", clock=lambda: 0.0).feed(data).startswith(data)
