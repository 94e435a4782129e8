"""A stream that is dialled before it is asked for: the way is made while this process still gets ready for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream

from paude.errors import PaudeError
from paude.tunnel.base import Dialer


@asynccontextmanager
async def ahead(dialer: Dialer, port: int) -> AsyncIterator[Dialer]:
    """`dialer`, whose first stream to `port` is under way; closed in the end when nobody took it."""
    one = _Ahead(dialer, port)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.begin)
            yield one
            tasks.cancel_scope.cancel()
    finally:  # only now is it sure that nothing more comes
        await one.drop()


class _Ahead:
    """A Dialer: what was begun goes to the first who asks, and everybody after him has a stream of his own."""

    def __init__(self, dialer: Dialer, port: int) -> None:
        self._dialer, self._port = dialer, port
        self._begun: ByteStream | PaudeError | None = None
        self._over = anyio.Event()
        self._asked = False

    async def begin(self) -> None:
        """Dial, and keep what comes of it."""
        try:
            self._begun = await self._dialer.dial(self._port)
        except PaudeError as exc:
            self._begun = exc
        finally:
            self._over.set()

    async def dial(self, port: int) -> ByteStream:
        """As the dialer does it."""
        if self._asked or port != self._port:
            return await self._dialer.dial(port)
        self._asked = True
        await self._over.wait()
        begun, self._begun = self._begun, None
        if isinstance(begun, PaudeError):
            raise begun
        return begun or await self._dialer.dial(port)

    async def drop(self) -> None:
        """Close what nobody took."""
        if isinstance(self._begun, ByteStream):
            with anyio.CancelScope(shield=True):
                await self._begun.aclose()
