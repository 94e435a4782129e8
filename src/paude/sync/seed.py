"""The first content: one stream of what the selection lets out, a tar packed by zstd.

Which entries travel is decided here; `paude-sync pack` reads and packs them (POSIX ustar, IEEE 1003.1-2008, and pax for
names that it does not hold; RFC 8878).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.text import TextReceiveStream

from paude import report
from paude.errors import PaudeError
from paude.process import clean, started
from paude.settings import Paths
from paude.sync import daemon
from paude.sync.selection import Outgoing, look

_AT_ONCE = 1024
_TOLD = 10
# The header of an entry, and half a block that its content does not fill.
_AROUND = 512 + 256


@asynccontextmanager
async def tar_stream(
    workspace: Path, chosen: Outgoing, rate: int = 0, paths: Paths | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The content of `workspace` as pieces, which are made while the block takes them.

    Tells the bytes of the tree made so far as progress, of all of them once they are known, and afterwards what
    could not be read. `rate` is the most bytes a second; 0 for any. The sync daemon of `paths` need
    not read again what was packed, if it has not begun. Raises PaudeError when not all could be packed.
    """
    packing = _Packing()
    env = daemon.environment(paths) if paths else None
    argv: list[str | Path] = [daemon.binary(), "pack", workspace]
    async with started(argv, stdin=True, env=env) as child, anyio.create_task_group() as tasks:
        assert child.stdin is not None
        assert child.stderr is not None
        tasks.start_soon(packing.name, child.stdin, workspace, chosen)
        tasks.start_soon(packing.listen, child.stderr)
        yield packing.pieces(child, rate)
        if not packing.whole:  # nobody wants the rest
            tasks.cancel_scope.cancel()
    packing.tell()


class _Packing:
    """What is known of one stream."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._unreadable: list[str] = []
        self._said = ""
        self.whole = False

    async def name(self, stdin: ByteSendStream, workspace: Path, chosen: Outgoing) -> None:
        """Name what travels; the empty name at the end says that this is all."""
        seen = await look(workspace, chosen)
        self._unreadable.extend(seen.unreadable)
        self._total = seen.size.bytes + _AROUND * len(seen.paths)
        with suppress(anyio.BrokenResourceError):  # it has failed, and said why
            for first in range(0, len(seen.paths), _AT_ONCE):
                await stdin.send("".join(f"{path}\0" for path in seen.paths[first : first + _AT_ONCE]).encode())
            await stdin.send(b"\0")

    async def listen(self, stderr: ByteReceiveStream) -> None:
        """Take the lines of the program: a JSON object each, or the words with which it fails."""
        rest = ""
        async for text in TextReceiveStream(stderr, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            self._said = clean(line)
            return
        if "unreadable" in told:
            self._unreadable.append(told["unreadable"])
        else:
            made = int(told["made"])
            report.progress(made if self._total is None else min(made, self._total), self._total, "bytes")

    async def pieces(self, child: Process, rate: int) -> AsyncIterator[bytes]:
        """The stream to its end. Raises PaudeError when it is not whole."""
        assert child.stdout is not None
        began, sent = anyio.current_time(), 0
        async for piece in child.stdout:
            yield piece
            sent += len(piece)
            if rate:
                await anyio.sleep_until(began + sent / rate)
        if await child.wait():
            raise PaudeError("the workspace cannot be packed", why=self._said)
        self.whole = True

    def tell(self) -> None:
        """Say what could not be read."""
        for path in self._unreadable[:_TOLD]:
            report.line(f"not sent, because it cannot be read: {path}")
        if len(self._unreadable) > _TOLD:
            report.line(f"… and {len(self._unreadable) - _TOLD} more that cannot be read")
