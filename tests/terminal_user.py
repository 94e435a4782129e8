"""A user at a real pseudo-terminal, and the tmux server he looks at."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?>]*[ -/]*[@-~]|[()][A-Z0-9]|[78=>])|\x0f")


class User:
    """Types into the master side and reads what is shown; `slave` is the program's side."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.resize(80, 24)
        self.cooked = termios.tcgetattr(self.slave)
        self.shown = bytearray()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.master, self._read)

    def close(self) -> None:
        """Go away."""
        self._loop.remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, rows: int) -> None:
        """Make the window this big."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press `keys`."""
        assert os.write(self.master, keys) == len(keys)

    async def sees(self, text: bytes, seconds: float = 10) -> None:
        """Wait until `text` was shown, with or without the escape sequences."""
        try:
            with anyio.fail_after(seconds):
                while text not in self.shown and text not in _ESCAPES.sub(b"", self.shown):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown, only {bytes(self.shown[-1500:])!r}") from None

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was in the beginning."""
        return termios.tcgetattr(self.slave) == self.cooked

    def _read(self) -> None:
        try:
            self.shown += os.read(self.master, 65536)
        except OSError:
            return
        self._more.set()


@dataclass(frozen=True)
class Tmux:
    """A tmux server of its own on `socket`."""

    socket: Path

    def __call__(self, *words: str) -> str:
        """Run a tmux command."""
        done = subprocess.run(
            ["tmux", "-S", self.socket, "-f", "/dev/null", *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def begin(self, program: str) -> None:
        """A session `agent` that runs `program`."""
        self("new-session", "-d", "-s", "agent", "-x", "80", "-y", "24", program)
        self("set", "-g", "status", "off")
        self("set", "-g", "window-size", "latest")

    def begin_again(self, program: str) -> None:
        """Another server, once the one before has let go of the socket."""
        self("kill-server")
        for _ in range(100):
            try:
                self.begin(program)
            except subprocess.CalledProcessError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the tmux server does not end")

    async def holds(self, *words: str) -> None:
        """Wait until the pane shows exactly `words`: what `cat` was given, once echoed and once repeated."""
        with anyio.move_on_after(10):
            while self("capture-pane", "-p", "-t", "agent").split() != [*words]:  # noqa: ASYNC110 -- no event
                await anyio.sleep(0.05)
            return
        raise AssertionError(f"the pane holds {self('capture-pane', '-p', '-t', 'agent').split()}")

    def clients(self) -> list[str]:
        """The ttys of those who look."""
        return self("list-clients", "-F", "#{client_tty}").splitlines()


@contextmanager
def tmux(directory: Path, program: str) -> Iterator[Tmux]:
    """A running one."""
    server = Tmux(directory / "tmux.sock")
    server.begin(program)
    try:
        yield server
    finally:
        subprocess.run(["tmux", "-S", server.socket, "kill-server"], capture_output=True, check=False)
