"""Questions: what is said where nobody can answer, and what leaving one means."""

from __future__ import annotations

import io

import pytest

from paude.cli.ask import agreed, chosen
from paude.errors import Interrupted, UsageError

MATTER = UsageError("a file would be changed", why="-old\n+new", hint="agree with --yes")


class Terminal(io.StringIO):
    """Standard input with somebody at it, who types what it holds and then leaves."""

    def isatty(self) -> bool:
        return True


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(text))


@pytest.mark.parametrize(("typed", "agrees"), [("y\n", True), ("n\n", False), ("\n", False), ("what?\ny\n", True)])
def test_what_it_is_about_is_said_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, agrees: bool
) -> None:
    answers(monkeypatch, typed)
    assert agreed(MATTER, "Change it?") is agrees
    printed = capsys.readouterr()
    assert printed.out.strip() == ""
    assert printed.err.startswith("a file would be changed:\n  -old\n  +new\nChange it? [y/N]:")


def test_where_nobody_can_be_asked_the_matter_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError) as caught:
        agreed(MATTER, "Change it?")
    assert caught.value is MATTER


def test_a_question_that_is_left_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "")
    with pytest.raises(Interrupted):
        agreed(MATTER, "Change it?")
    with pytest.raises(Interrupted):
        chosen("Which", ("a", "b"), "a")


def test_only_a_known_answer_counts_and_the_proposed_one_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "c\nb\n")
    assert chosen("Which", ("a", "b"), "a") == "b"
    answers(monkeypatch, "\n")
    assert chosen("Which", ("a", "b"), "a") == "a"
    answers(monkeypatch, "anything\n")
    assert chosen("Which", (), "") == "anything"
