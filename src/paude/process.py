"""Children: podman, git, ssh and the sync daemon are started here and nowhere else.

stdin is closed unless it is asked for; on cancellation a child gets SIGTERM, then SIGKILL; what it prints is kept
within bounds and made safe for a terminal. Secrets go in by stdin, never by argument or environment.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess  # noqa: TID251 -- the one place
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from paude.errors import CommandFailed, PaudeError

GRACE_S = 5.0
KEEP_STDERR = 64 * 1024
KEEP_STDOUT = 64 * 1024 * 1024
_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    "PAUDE_SUPERVISED",  # of paude.ssh.fdpass, which children of children run
)
# Whole escape sequences (CSI, OSC) first, then every control character that is left but tab and newline.
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


@dataclass(frozen=True)
class Completed:
    """How a child ended and what it printed."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """The standard output as text."""
        return self.stdout.decode("utf-8", "replace")


class ToolMissing(PaudeError):
    """A program that paude needs is not installed."""

    exit_code = 2


def clean(text: str) -> str:
    """`text` without control characters, so that it can be shown on a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


async def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    on_stderr: Callable[[str], None] | None = None,
    on_stdout: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a child to its end and keep what it prints (stdout ≤ 64 MiB, the last 64 KiB of stderr).

    `env` replaces the environment; `on_stderr` and `on_stdout` are given each line as it comes
    (with `on_stdout` only the last 64 KiB of stdout are kept).
    Raises CommandFailed when `check` and the child fails, ToolMissing when there is no such program.
    """
    words = tuple(str(a) for a in argv)
    stdout = bytearray()
    said = _Tail(KEEP_STDERR)
    stderr = _Tail(KEEP_STDERR)

    async with started(words, stdin=stdin is not None, env=env, cwd=cwd, pass_fds=pass_fds) as child:
        async with anyio.create_task_group() as tasks:
            assert child.stdout is not None
            assert child.stderr is not None
            if on_stdout is None:
                tasks.start_soon(_collect, child.stdout, stdout)
            else:
                tasks.start_soon(_lines, child.stdout, said, on_stdout)
            tasks.start_soon(_lines, child.stderr, stderr, on_stderr)
            if stdin is not None:
                tasks.start_soon(_feed, child, stdin)
        returncode = await child.wait()

    done = Completed(words, returncode, bytes(stdout) or said.text().encode(), clean(stderr.text()))
    if check and returncode:
        raise CommandFailed(words, returncode, done.stderr)
    return done


@asynccontextmanager
async def started(
    argv: Sequence[str | Path],
    *,
    stdin: bool | int = False,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> AsyncIterator[Process]:
    """A running child whose pipes the caller reads; it is gone when the block ends.

    `stdin` is a pipe with True, nothing with False, or a descriptor.

    Leaving the block while the child runs (an error, a cancellation, a return) ends it: SIGTERM, and SIGKILL
    after `GRACE_S` seconds.
    """
    words = [str(a) for a in argv]
    try:
        child = await anyio.open_process(
            words,
            stdin=_standard_input(stdin),
            stdout=stdout,
            stderr=stderr,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=new_session,
        )
    except FileNotFoundError as exc:
        raise ToolMissing(f"`{words[0]}` is not installed", hint=f"install {words[0]} and try again") from exc
    except PermissionError as exc:
        raise ToolMissing(f"`{words[0]}` cannot be run", why=str(exc)) from exc
    try:
        yield child
    finally:
        with anyio.CancelScope(shield=True):
            await _end(child)


def _standard_input(wanted: bool | int) -> int:
    if isinstance(wanted, bool):
        return subprocess.PIPE if wanted else subprocess.DEVNULL
    return wanted


async def _end(child: Process) -> None:
    if child.returncode is None:
        _signal(child, signal.SIGTERM)
        with anyio.move_on_after(GRACE_S):
            await child.wait()
        if child.returncode is None:
            _signal(child, signal.SIGKILL)
            await child.wait()
    await child.aclose()  # its pipes too, which a grandchild may hold


def _signal(child: Process, number: signal.Signals) -> None:
    try:
        child.send_signal(number)
    except ProcessLookupError:
        return


async def _feed(child: Process, data: bytes) -> None:
    assert child.stdin is not None
    try:
        await child.stdin.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return
    finally:
        await child.stdin.aclose()


async def _collect(stream: ByteReceiveStream, into: bytearray) -> None:
    async for chunk in stream:
        into += chunk[: max(0, KEEP_STDOUT - len(into))]


async def _lines(stream: ByteReceiveStream, keep: _Tail, tell: Callable[[str], None] | None) -> None:
    rest = ""
    async for text in TextReceiveStream(stream, errors="replace"):
        keep.add(text)
        if tell is None:
            continue
        *whole, rest = (rest + text.replace("\r", "\n")).split("\n")
        rest = rest[-KEEP_STDERR:]  # whoever prints need not be a friend
        for one in whole:
            if one.strip():
                tell(clean(one))
    if tell is not None and rest.strip():
        tell(clean(rest))


class _Tail:
    """The last `limit` characters of what was added."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: deque[str] = deque()
        self._size = 0

    def add(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        while self._parts and self._size - len(self._parts[0]) > self._limit:
            self._size -= len(self._parts.popleft())

    def text(self) -> str:
        return "".join(self._parts)[-self._limit :]


def quiet_environment(**extra: str) -> dict[str, str]:
    """The environment for a child: PATH, HOME and locale-free output, nothing that could hold a secret."""
    known = {k: os.environ[k] for k in _KEPT if k in os.environ}
    return {**known, "LC_ALL": "C.UTF-8", **extra}
