"""A tunnel that stays with one pod: names are given again, uids are not.

The cluster says which pod has the name; what answers in the pod is the agent's and may say anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from anyio.abc import ByteStream

from paude.errors import PaudeError
from paude.tunnel.base import Dialer, TunnelLost


class PodReplaced(TunnelLost):
    """Another pod has the name now; the next dial goes to that one."""


class PinnedDialer:
    """A Dialer to the pod that it found first. `uid` asks the cluster; empty where that is not to be known."""

    def __init__(self, dialer: Dialer, uid: Callable[[], Awaitable[str]]) -> None:
        self._dialer = dialer
        self._uid = uid
        self._pinned = ""

    async def dial(self, port: int) -> ByteStream:
        """As the one below, and the question beside it costs no time. Raises PodReplaced, once for each new pod."""
        found: list[ByteStream] = []
        uid, failure = "", None

        async def dial() -> None:
            nonlocal failure
            try:
                found.append(await self._dialer.dial(port))
            except PaudeError as exc:
                failure = exc
                tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(dial)
                uid = await self._asked()
            if failure is not None:
                raise failure
            self._check(uid)
            return found.pop()
        finally:
            for stream in found:
                await anyio.aclose_forcefully(stream)

    async def _asked(self) -> str:
        with suppress(PaudeError):
            return await self._uid()
        return ""

    def _check(self, uid: str) -> None:
        before, self._pinned = self._pinned, uid or self._pinned
        if before and self._pinned != before:
            raise PodReplaced("the session's pod was replaced", why="another pod has its name")
