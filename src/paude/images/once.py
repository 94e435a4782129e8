"""What a run makes at most once, whichever of its steps asks first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Once(Generic[T]):
    """Things by their keys. One that could not be made is tried again by whoever asks next."""

    def __init__(self) -> None:
        self._made: dict[Hashable, T] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    async def of(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The thing of that key; who asks while it is being made waits for it."""
        async with self._locks.setdefault(key, anyio.Lock()):
            if key not in self._made:
                self._made[key] = await make()
            return self._made[key]
