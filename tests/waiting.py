"""Waiting for what has no event on this side: bounded, and with what was seen instead when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_LOOK_S = 0.1


def eventually(look: Callable[[], T | None], within: float = 20.0, what: str = "") -> T:
    """The first true thing that `look` gives within `within` seconds."""
    until = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > until:
            raise AssertionError(f"{what or 'it'} did not come about within {within:g} s; last seen: {seen!r}")
        time.sleep(_LOOK_S)
