"""Questions to the user, on standard error. Where nobody can answer, what it is about is the error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from paude.cli.app import say
from paude.errors import Interrupted, UsageError

T = TypeVar("T")


def agreed(matter: UsageError, question: str) -> bool:
    """Say what it is about, and whether the user answers the question with yes.

    Raises `matter` itself where nobody can be asked, Interrupted when the user leaves.
    """
    if not sys.stdin.isatty():
        raise matter
    lines = matter.why.splitlines()
    say("\n  ".join([f"{matter.what}:", *lines]) if lines else matter.what)
    return _answered(lambda: typer.confirm(question, err=True))


def chosen(question: str, answers: Sequence[str], proposed: str) -> str:
    """The answer, one of `answers` where there are any. Raises Interrupted when the user leaves."""
    known = f" ({', '.join(answers)})" if answers else ""
    while True:
        said = _answered(lambda: str(typer.prompt(f"{question}{known}", default=proposed or None, err=True)))
        if not answers or said in answers:
            return said
        say(f"one of {', '.join(answers)}, please")


def _answered(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except typer.Abort as exc:
        raise Interrupted("the question was not answered") from exc
