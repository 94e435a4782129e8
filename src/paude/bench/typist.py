"""A user at a pseudo-terminal of this process: types, and knows when something was shown."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from paude.errors import TimedOut
from paude.ssh.terminal import Terminal

_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?>]*[ -/]*[@-~]|[()][A-Z0-9]|\][^\x07]*\x07|[78=>])|[\x0e\x0f]")
_KEPT = 256 * 1024
_COLUMNS, _ROWS = 120, 30


class Typist:
    """`terminal` is what this process attaches to, `descriptor` what a program of its own gets."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        os.set_blocking(self._master, False)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._shown = bytearray()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        self.descriptor = self._slave
        self.terminal = Terminal(self._slave, self._slave, kind="xterm-256color")

    def close(self) -> None:
        """Go away."""
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    async def type(self, keys: bytes) -> None:
        """Press `keys`, as fast as the program takes them."""
        while keys:
            try:
                keys = keys[os.write(self._master, keys) :]
            except BlockingIOError:
                await anyio.sleep(0.01)

    def look_away(self) -> None:
        """Forget what was shown."""
        self._shown.clear()

    async def sees(self, text: bytes, within: float) -> None:
        """Return once `text` was shown, since the last look away. Raises TimedOut."""
        try:
            with anyio.fail_after(within):
                while text not in self._shown and text not in _ESCAPES.sub(b"", self._shown):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError as exc:
            raise TimedOut("the terminal did not show what was typed", why=f"{within:g} s have passed") from exc

    def _read(self) -> None:
        try:
            self._shown += os.read(self._master, 65536)
        except OSError:
            return
        del self._shown[:-_KEPT]
        self._more.set()


@contextmanager
def typist() -> Iterator[Typist]:
    """One who sits there while the block runs."""
    one = Typist()
    try:
        yield one
    finally:
        one.close()
