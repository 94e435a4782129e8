"""The user's terminal: raw while the block lasts, as it was before on every way out, also after SIGKILL.

stdin is never made non-blocking: the flag would belong to the shell and everybody else who shares it. Output goes
through a description of our own where the terminal can be opened by name, so that a slow terminal blocks nobody.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from paude.errors import UsageError
from paude.process import started
from paude.ssh.guardian import plain
from paude.ssh.screen import AlternateScreen

GUARDIAN = Path(__file__).with_name("guardian.py")
_READ = 4096
_FULL, _EMPTY = 256 * 1024, 32 * 1024
_FLUSH_S = 1.0


@dataclass(frozen=True)
class Size:
    """Columns and rows, and their pixels where the terminal knows them."""

    columns: int
    rows: int
    width: int = 0
    height: int = 0


class Terminal:
    """Two descriptors of one terminal; `raw` opens it for a full-screen program of the pod."""

    def __init__(self, stdin: int = 0, stdout: int = 1, *, kind: str | None = None) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self.kind = kind or os.environ.get("TERM") or "xterm-256color"

    @property
    def size(self) -> Size:
        """As it is now; 80 by 24 when the terminal does not know."""
        packed = fcntl.ioctl(self._stdout, termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", packed)
        return Size(columns or 80, rows or 24, width, height)

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[RawTerminal]:
        """The terminal in raw mode, watched over by a guardian. Raises UsageError when it is no terminal."""
        if not (os.isatty(self._stdin) and os.isatty(self._stdout)):
            raise UsageError("this needs a terminal", hint="use `paude exec` in scripts")
        async with started(
            [sys.executable, "-IS", GUARDIAN], stdin=True, stdout=self._stdout, new_session=True
        ) as guardian:
            screen = RawTerminal(self, self._stdin, self._stdout)
            try:
                assert guardian.stdin is not None
                await guardian.stdin.send(json.dumps(screen.enter()).encode())
                yield screen
            finally:
                await screen.leave()


class RawTerminal:
    """Keys in, bytes out. `congested` is called with True when the terminal lags behind, with False when it is back."""

    def __init__(self, terminal: Terminal, stdin: int, stdout: int) -> None:
        self._terminal = terminal
        self._stdin = stdin
        self._loop = asyncio.get_running_loop()
        self._cooked = termios.tcgetattr(stdin)
        self._out, self._own = _own_description(stdout)
        self._waiting = bytearray()
        self._typed = bytearray()
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._congested = False
        self._alternate = AlternateScreen()
        self.congested: Callable[[bool], None] = lambda _: None

    @property
    def size(self) -> Size:
        """As it is now."""
        return self._terminal.size

    @property
    def kind(self) -> str:
        """The value for TERM."""
        return self._terminal.kind

    def enter(self) -> dict[str, object]:
        """Go raw; the settings before and after, for the guardian."""
        tty.setraw(self._stdin, termios.TCSADRAIN)
        self._loop.add_reader(self._stdin, self._read)
        return {"cooked": plain(self._cooked), "raw": plain(termios.tcgetattr(self._stdin))}

    async def leave(self) -> None:
        """Write what still waits (for at most a second), reset, and give the terminal back."""
        self._loop.remove_reader(self._stdin)
        self.write(self._alternate.reset())
        with anyio.CancelScope(shield=True), anyio.move_on_after(_FLUSH_S):
            await self._drained.wait()
        self._loop.remove_writer(self._out)
        termios.tcsetattr(self._stdin, termios.TCSANOW, self._cooked)
        if self._own:
            os.close(self._out)

    async def keys(self) -> bytes:
        """What is typed next; empty when the terminal is gone."""
        await self._arrived.wait()
        self._arrived.clear()
        typed, self._typed = bytes(self._typed), bytearray()
        return typed

    def write(self, data: bytes) -> None:
        """Show `data`; never blocks, keeps the order."""
        self._alternate.feed(data)
        self._waiting += data
        self._flush()

    async def suspend(self) -> None:
        """Give the terminal back and stop, like any program on ^Z; returns when continued."""
        self._loop.remove_reader(self._stdin)
        self.write(self._alternate.reset())
        with anyio.move_on_after(_FLUSH_S):
            await self._drained.wait()
        termios.tcsetattr(self._stdin, termios.TCSANOW, self._cooked)
        os.kill(os.getpid(), signal.SIGTSTP)
        self.enter()

    def _read(self) -> None:
        # Only here is a read known not to block.
        try:
            typed = os.read(self._stdin, _READ)
        except OSError:
            typed = b""
        if not typed:
            self._loop.remove_reader(self._stdin)
        self._typed += typed
        self._arrived.set()

    def _flush(self) -> None:
        self._loop.remove_writer(self._out)
        try:
            while self._waiting:
                del self._waiting[: os.write(self._out, self._waiting[:_READ])]
        except BlockingIOError:
            self._loop.add_writer(self._out, self._flush)
        except OSError:
            self._waiting.clear()
        self._mark()

    def _mark(self) -> None:
        waiting = len(self._waiting)
        self._drained.clear() if waiting else self._drained.set()
        if (waiting > _FULL and not self._congested) or (waiting < _EMPTY and self._congested):
            self._congested = not self._congested
            self.congested(self._congested)


def _own_description(stdout: int) -> tuple[int, bool]:
    try:
        return os.open(os.ttyname(stdout), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC), True
    except OSError:
        return stdout, False
