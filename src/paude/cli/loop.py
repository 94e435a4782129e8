"""The frame of every verb: the one event loop, and how errors become words and exit codes. No parser here.

Importing this must stay cheap: who comes back to a terminal waits for it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TextIO, TypeVar, cast

from paude.errors import Interrupted, PaudeError, UsageError
from paude.redaction import Redacted

T = TypeVar("T")


def framed(verb: Callable[[], object]) -> None:
    """Run a verb: no secret leaves it by its output, and what fails is told and ends the process with its code."""
    sys.stdout, sys.stderr = cast(TextIO, Redacted(sys.stdout)), cast(TextIO, Redacted(sys.stderr))
    try:
        _stand_somewhere()
        verb()
    except PaudeError as error:
        fail(error)
    except BrokenPipeError:
        nobody_reads()
        sys.exit(0)


def nobody_reads() -> None:
    """The reader of the output has gone (`paude sessions | head`): what is left of it goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stand_somewhere() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as exc:
        raise UsageError("the current directory is gone", hint="change to one that exists") from exc


def in_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in the event loop; the first Ctrl-C, SIGTERM or SIGHUP cancels it, the second leaves at once.

    Raises Interrupted when it was cancelled that way.
    """
    import anyio

    return anyio.run(_interruptible, work)


async def _interruptible(work: Callable[[], Awaitable[T]]) -> T:
    import anyio

    done: list[T] = []
    hits = 0

    async def listen(scope: anyio.CancelScope) -> None:
        nonlocal hits
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as arrivals:
            async for _ in arrivals:
                hits += 1
                if hits > 1:
                    say("left at once: what had been made is still there; `paude stop` removes it")
                    os._exit(Interrupted.exit_code)
                say("interrupted: taking back what was made (again to leave it)")
                scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, tasks.cancel_scope)
            done.append(await work())
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from group
    if not done:
        raise Interrupted("interrupted")
    return done[0]


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for data. It may quote anybody, so nothing in it steers the screen."""
    from paude.process import clean

    print(clean(text), file=sys.stderr, flush=True)  # noqa: T201 -- the one place


def put(text: str) -> None:
    """A line of data, on stdout."""
    print(text, flush=True)  # noqa: T201 -- the one place


def fail(error: PaudeError) -> None:
    """Print what failed, why, what to do, what is left; leave with the error's exit code."""
    from paude.process import clean

    say(f"error: {clean(error.what)}")
    for line in clean(error.why).splitlines():
        say(f"  {line}")
    if error.hint:
        say(f"\nhint: {clean(error.hint)}")
    for left in error.leftovers:
        say(f"left behind: {left.kind} {left.name}; remove it with: {left.command}")
    sys.exit(error.exit_code)
