"""What asyncssh calls back for one remote command: bounded collection, lines, and the state of its end."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import anyio

from paude.ssh.library import asyncssh

KEEP_OUTPUT = 16 * 1024 * 1024
_PACKET = 32 * 1024  # OpenSSH's largest packet: asyncssh copies anything longer once more per packet
_READ_AHEAD = 1024 * 1024  # also the longest line


class CommandSession(asyncssh.SSHClientSession[bytes]):
    """The end of a command and the flow of its stdin; `closed` is set once nothing more will come."""

    def __init__(self) -> None:
        self.closed = anyio.Event()
        self.stderr = bytearray()
        self._writable = anyio.Event()
        self._writable.set()
        self._status: int | None = None
        self._failure: Exception | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Keep the channel."""
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Keep stderr, hand on stdout."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.stderr += data[: max(0, KEEP_OUTPUT - len(self.stderr))]
        else:
            self.printed(data)

    def printed(self, data: bytes) -> None:
        """The command printed `data`."""

    def exit_status_received(self, status: int) -> None:
        """The command ended by itself."""
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """The command was killed."""
        self._status = 128 + _number(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, or the connection."""
        self._failure = exc
        self._writable.set()
        self.closed.set()

    def pause_writing(self) -> None:
        """The other end takes no more for now."""
        if not self.closed.is_set():
            self._writable = anyio.Event()

    def resume_writing(self) -> None:
        """The other end takes more."""
        self._writable.set()

    async def write(self, data: bytes) -> bool:
        """Send `data` to the command's stdin and wait until more may be sent; False when it has ended."""
        for start in range(0, len(data), _PACKET):
            try:
                self.channel.write(data[start : start + _PACKET])
            except BrokenPipeError:
                return False
            await self._writable.wait()
        return not self.closed.is_set()

    def write_eof(self) -> None:
        """End the command's stdin."""
        if not self.closed.is_set():
            self.channel.write_eof()

    def status(self) -> int:
        """The exit status; raises what ended the connection when there is none."""
        if self._failure is not None:
            raise self._failure
        if self._status is None:
            raise asyncssh.ConnectionLost("the command ended without a status")
        return self._status


class CollectingSession(CommandSession):
    """Keeps the first 16 MiB of what the command prints."""

    def __init__(self) -> None:
        super().__init__()
        self.stdout = bytearray()

    def printed(self, data: bytes) -> None:
        """Keep it."""
        self.stdout += data[: max(0, KEEP_OUTPUT - len(self.stdout))]


class LineSession(CommandSession):
    """Gives what the command prints line by line; reads ahead at most a mebibyte."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._arrived = anyio.Event()

    def printed(self, data: bytes) -> None:
        """Keep it for `lines`."""
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) > _READ_AHEAD:
            self.channel.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader."""
        super().connection_lost(exc)
        self._arrived.set()

    async def lines(self) -> AsyncIterator[str]:
        """The lines without their ends; a line over a mebibyte comes in pieces."""
        while True:
            line = self._take()
            if line is not None:
                yield line.decode("utf-8", "replace")
            elif self.closed.is_set():
                return
            else:
                self._arrived = anyio.Event()
                self.channel.resume_reading()
                await self._arrived.wait()

    def _take(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0 and (len(self._buffer) > _READ_AHEAD or (self._buffer and self.closed.is_set())):
            line, self._buffer = self._buffer, bytearray()
            return bytes(line)
        if end < 0:
            return None
        line = self._buffer[:end]
        del self._buffer[: end + 1]
        return bytes(line)


def _number(name: str) -> int:
    return int(getattr(signal, f"SIG{name}", signal.SIGKILL))
