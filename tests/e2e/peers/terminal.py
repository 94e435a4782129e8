"""`paude attach` as a process of its own on a real pseudo-terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from laptop import Laptop
from terminal_user import User


@dataclass
class Attached:
    """The user and the process between him and the agent."""

    user: User
    process: subprocess.Popen[bytes]

    async def shell(self, command: str, shows: str, within: float = 15) -> None:
        """Type a command line; what it prints must not be what was typed, which is seen in any case."""
        assert shows not in command
        self.user.shown.clear()
        self.user.type(command.encode() + b"\r")
        await self.user.sees(shows.encode(), within)

    def kill(self) -> None:
        """The process gets no chance to clean up."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    async def ends(self, within: float = 15) -> int:
        """Its exit code."""
        with anyio.fail_after(within):
            return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)


@asynccontextmanager
async def attached(laptop: Laptop, name: str, shows: bytes = b"$ ") -> AsyncIterator[Attached]:
    """A user in front of the session's terminal, which has shown its prompt or what else it `shows` at first."""
    user = User()
    process = subprocess.Popen(  # noqa: ASYNC220 -- started in a moment, and waited for in a thread
        [sys.executable, "-m", "paude", "attach", name],
        env={**laptop.env, "TERM": "xterm-256color"},
        cwd=laptop.home,
        stdin=user.slave,
        stdout=user.slave,
        stderr=user.slave,
        start_new_session=True,
    )
    try:
        await user.sees(shows, 60)
        yield Attached(user, process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)
        user.close()
