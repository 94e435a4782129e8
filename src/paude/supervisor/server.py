"""The supervisor: one process per user that owns the tunnels and the sync daemon while any session lives.

Its socket speaks lines: `NAME PORT` turns the connection into a stream to that port of the session's pod; with the
word `told` behind it a line `ok` comes first, or `no WHY` and the end. A line
that begins with `!` asks the supervisor itself (`!hello`, `!status`, `!stop`, `!forget NAME`, `!look`:
the link is back) and is answered with one line of JSON. `!ready` is `!hello` that waits for the sync daemon.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import re
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream, TaskGroup

from paude import __version__
from paude.errors import PaudeError
from paude.redaction import redact
from paude.settings import Paths
from paude.supervisor.hold import Roads
from paude.supervisor.protocol import PROTOCOL
from paude.tunnel.backoff import Backoff
from paude.tunnel.local import LocalStream
from paude.tunnel.unread import Unread

IDLE_S = 60.0
LOG_LIMIT = 1024 * 1024
_LINE_S = 10.0
_LOCK_S = 10.0
_REQUEST = re.compile(r"([a-z0-9][a-z0-9-]{0,45}) ([1-9][0-9]{0,4})( told)?")
_log = logging.getLogger(__name__)


async def serve(
    paths: Paths,
    roads: Roads,
    sync_daemon: Callable[[], AbstractAsyncContextManager[None]],
    *,
    idle: float = IDLE_S,
) -> None:
    """Be the supervisor until the last session is gone for `idle` seconds, or until it is told to stop.

    `sync_daemon` runs the daemon for as long as it is open. Returns at once when another supervisor serves these paths.
    """
    _log_to(paths.state / "supervisor.log")
    async with _only_one(paths) as alone:
        if not alone:
            return
        supervisor = _Supervisor(paths, roads, idle)
        with _listening(paths.supervisor_socket) as listener:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.accept, listener, tasks)
                tasks.start_soon(supervisor.keep, sync_daemon)
                tasks.start_soon(supervisor.until_idle)
                _log.info("serving, process %d", os.getpid())
                await supervisor.ended.wait()
                tasks.cancel_scope.cancel()
    _log.info("ended")


class _Supervisor:
    def __init__(self, paths: Paths, roads: Roads, idle: float) -> None:
        self._paths, self._roads, self._idle = paths, roads, idle
        self._since = time.time()
        self._streams: dict[str, set[anyio.CancelScope]] = defaultdict(set)
        self._daemon = anyio.Event()
        self._changed = anyio.Event()
        self.ended = anyio.Event()

    # --- clients

    async def accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as exc:  # no descriptors left: the listener itself stays good
                _log.warning("cannot accept: %s", exc)
                await anyio.sleep(1)
                continue
            tasks.start_soon(self._handle, client)

    async def _handle(self, raw: socket.socket) -> None:
        client = await LocalStream.over(raw)
        try:
            with anyio.fail_after(_LINE_S):
                line, rest = await _line(client)
            if line == "!ready":
                await self._daemon.wait()
            if line.startswith("!"):
                await client.send(json.dumps(self._answer(*line.split())).encode() + b"\n")
                if line == "!stop":  # not before it was answered
                    self.ended.set()
            else:
                await self._stream(line, Unread(rest, client))
        except PaudeError as exc:
            _log.warning("%s%s", exc, f" ({exc.hint})" if exc.hint else "")
        except (TimeoutError, ValueError, anyio.EndOfStream, anyio.BrokenResourceError) as exc:
            _log.warning("a client was dropped: %s", exc or type(exc).__name__)
        except Exception:  # noqa: BLE001 -- one client is not to end the others
            _log.exception("a client broke something")
        finally:
            await client.aclose()

    async def _stream(self, line: str, client: ByteStream) -> None:
        asked = _REQUEST.fullmatch(line)
        if asked is None:
            raise ValueError("it asked for nothing that exists")
        name, port = asked[1], int(asked[2])
        with anyio.CancelScope() as scope:
            self._streams[name].add(scope)
            try:
                error = await self._roads.to(name, port).join(client, told=bool(asked[3]))
                _log.info("%s: a stream to %d ended%s", name, port, f": {error}" if error else "")
            finally:
                self._streams[name].discard(scope)
                self._nudge()

    # --- questions

    def _answer(self, question: str, name: str = "") -> dict[str, Any]:
        if question in ("!hello", "!ready"):
            return self._hello()
        if question == "!status":
            syncing = self._daemon.is_set()
            return {**self._hello(), "since": self._since, "syncing": syncing, "sessions": self._sessions()}
        if question == "!stop":
            return {"stopping": True}
        if question == "!look":
            self._roads.look()
            return {"looking": True}
        if question == "!forget":
            return {"closed": self._forget(name)}
        raise ValueError(f"it asked {question[:20]!r}")

    def _hello(self) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "version": __version__, "pid": os.getpid()}

    def _sessions(self) -> dict[str, Any]:
        names = {*self._recorded(), *(name for name, scopes in self._streams.items() if scopes)}
        return {
            name: {"streams": len(self._streams[name]), "failure": self._roads.failure(name)} for name in sorted(names)
        }

    def _forget(self, name: str) -> int:
        scopes = list(self._streams.pop(name, ()))
        for scope in scopes:
            scope.cancel()
        self._roads.forget(name)
        self._nudge()
        return len(scopes)

    # --- life

    async def keep(self, sync_daemon: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Keep the sync daemon running."""
        backoff = Backoff()
        while True:
            began = anyio.current_time()
            try:
                async with sync_daemon():
                    self._daemon.set()
                    await anyio.sleep_forever()
            except Exception:  # noqa: BLE001 -- tunnels go on; the log tells
                _log.exception("the sync daemon failed")
            finally:
                self._daemon = anyio.Event() if self._daemon.is_set() else self._daemon
            backoff.worked(anyio.current_time() - began)
            await backoff.wait()

    async def until_idle(self) -> None:
        """End when there is neither session nor stream for a while. Records that vanish unsaid are seen meanwhile."""
        while True:
            changed, needed = self._changed, self._needed()
            with anyio.move_on_after(self._idle):
                await changed.wait()
                continue
            if not needed and not self._needed():
                _log.info("no session is left")
                self.ended.set()
                return

    def _needed(self) -> bool:
        return bool(self._recorded()) or any(self._streams.values())

    def _recorded(self) -> list[str]:
        return sorted(path.parent.name for path in self._paths.sessions.glob("*/record.json"))

    def _nudge(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def _only_one(paths: Paths) -> AsyncIterator[bool]:
    """Whether this process is the only supervisor of `paths`; it is until the block ends, or the process."""
    lock = os.open(paths.supervisor_socket.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield await _locked(lock, paths.supervisor_socket)
    finally:
        os.close(lock)


async def _locked(lock: int, where: Path) -> bool:
    end = anyio.current_time() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if anyio.current_time() > end or _answers(where):
                return False
            await anyio.sleep(0.05)  # the other one is on its way out; a lock has no event
        else:
            return True


def _answers(where: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(where)) == 0


@contextmanager
def _listening(where: Path) -> Iterator[socket.socket]:
    """The socket, for this user alone; gone afterwards. A stale one of a killed supervisor is replaced."""
    where.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        before = os.umask(0o177)
        try:
            listener.bind(str(where))
        finally:
            os.umask(before)
        try:
            listener.listen(128)
            yield listener
        finally:
            where.unlink(missing_ok=True)


async def _line(client: ByteStream) -> tuple[str, bytes]:
    told = b""
    while b"\n" not in told:
        if len(told) > 256:
            raise ValueError("its first line does not end")
        told += await client.receive(256)
    line, rest = told.split(b"\n", 1)
    return line.decode("ascii", "replace").strip(), rest


class _WithoutSecrets(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=LOG_LIMIT, backupCount=1, delay=True)
    handler.setFormatter(_WithoutSecrets("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("paude")
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
