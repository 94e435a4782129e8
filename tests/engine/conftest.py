"""Two event loops with virtual clocks: hours pass in milliseconds, and every interleaving is decided by the test."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

Go = Callable[[Callable[[], Awaitable[Any]]], Any]


class _Leaping(selectors.DefaultSelector):
    """Instead of waiting, it moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.now += max(timeout, 0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


def go_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": _VirtualLoop})


def go_trio(main: Callable[[], Awaitable[Any]]) -> Any:
    return anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


@pytest.fixture(params=[go_asyncio, go_trio], ids=["asyncio", "trio"], scope="session")
def go(request: pytest.FixtureRequest) -> Go:
    """Runs an async function on a virtual clock."""
    return request.param
