"""Renderings of a plan and its events: rich on a terminal, plain lines, JSON. They read; they change nothing.

`open` gives the function that a run hands its events to. Everything goes to standard error: standard output is for
data. Foreign text is cleaned of control characters here, and a terminal that goes away never disturbs the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TextIO, cast, get_args

from paude.cli.display.base import Display, Silent
from paude.engine import Plan
from paude.errors import UsageError

__all__ = ["Display", "Kind", "open", "opener"]

Kind = Literal["auto", "live", "plain", "json", "quiet"]


@contextmanager
def open(kind: Kind, plan: Plan, stream: TextIO | None = None) -> Iterator[Display]:
    """A display of `plan` that takes its events, is done when the block ends, and keeps the leftovers it was told.

    `auto` is `live` on a terminal and `plain` elsewhere; `stream` is standard error unless given.
    """
    display = _display(kind, plan, stream or sys.stderr)
    try:
        yield display
    finally:
        display.close()


def opener(kind: str) -> Callable[[Plan], AbstractContextManager[Display]]:
    """`open` for the kind that the user named; raises UsageError when there is none of that name."""
    if kind not in get_args(Kind):
        raise UsageError(f"there is no kind of progress {kind[:40]!r}", hint=f"kinds: {', '.join(get_args(Kind))}")
    return lambda plan: open(cast(Kind, kind), plan)


def _display(kind: Kind, plan: Plan, stream: TextIO) -> Display:
    if kind == "auto":
        kind = "live" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if kind == "live":
        from paude.cli.display.live import Live  # rich costs 50 ms, so only those pay who look

        return Live(plan, stream)
    if kind == "json":
        from paude.cli.display.jsonl import JsonLines

        return JsonLines(plan, stream)
    if kind == "plain":
        from paude.cli.display.plain import Plain

        return Plain(plan, stream)
    return Silent()
