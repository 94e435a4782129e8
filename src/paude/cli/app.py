"""The command line as a whole: the verbs, the one event loop, and how errors become words and exit codes.

Importing this must stay cheap (`paude --help` ≤ 0.12 s): verbs import what they need when they run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer

from paude import __version__
from paude.errors import Interrupted, PaudeError

T = TypeVar("T")

app = typer.Typer(
    name="paude",
    help="Run a coding agent on Kubernetes, OpenShift or Podman, walled in, with live file sync.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"paude {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def bare(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Without a verb: the sessions, and what to do next."""
    if context.invoked_subcommand is None:
        from paude.cli import sessions

        sessions.overview()


_passed_on: list[str] = []


def passed_on() -> tuple[str, ...]:
    """The words after `--`, which are not paude's: they go to the agent or to a remote command unchanged."""
    return tuple(_passed_on)


def run() -> None:
    """Parse the words and run the verb; the entry point of the program."""
    words = sys.argv[1:]
    if "--" in words:
        # Split here: the parser would hand the first of them to an optional argument of the verb.
        cut = words.index("--")
        words, _passed_on[:] = words[:cut], words[cut + 1 :]
    from paude.cli import attach, bench, copy, execute, logs, sessions, ssh_config, start, status, stop, supervisor

    for verb in (start, attach, stop, sessions, status, execute, copy, logs, ssh_config, bench, supervisor):
        verb.register(app)
    try:
        app(words)
    except PaudeError as error:
        fail(error)
    except BrokenPipeError:
        # The reader of our output has gone (`paude sessions | head`): not an error worth words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


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
    """A line for the user, on stderr: stdout is for data."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def put(text: str) -> None:
    """A line of data, on stdout."""
    print(text, flush=True)  # noqa: T201


def fail(error: PaudeError) -> None:
    """Print what failed, why, what to do, what is left; leave with the error's exit code."""
    say(f"error: {error.what}")
    for line in error.why.splitlines():
        say(f"  {line}")
    if error.hint:
        say(f"\nhint: {error.hint}")
    for left in error.leftovers:
        say(f"left behind: {left.kind} {left.name}; remove it with: {left.command}")
    sys.exit(error.exit_code)
