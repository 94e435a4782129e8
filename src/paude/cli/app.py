"""The command line as a whole: the verbs, the one event loop, and how errors become words and exit codes.

Importing this must stay cheap (`paude --help` ≤ 0.12 s): verbs import what they need when they run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from paude import __version__
from paude.errors import Interrupted, PaudeError, UsageError
from paude.redaction import Redacted

T = TypeVar("T")


class Verbs(TyperGroup):
    """The verbs by name; the module of one is imported when that one is wanted."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return [verb for verb, (_, words) in VERBS.items() if words]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb itself, or None when there is none."""
        if cmd_name not in VERBS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        import_module(f"paude.cli.{VERBS[cmd_name][0]}").register(single)
        command = get_command(single)
        return getattr(command, "commands", {}).get(cmd_name, command)

    def get_params(self, ctx: Any) -> list[Any]:
        """The options, without typer's own two for completion: `paude completion` is the one way."""
        return [one for one in super().get_params(ctx) if one.name not in {"install_completion", "show_completion"}]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in the help, without importing the verbs."""
        for heading, verbs in HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(verb, words) for verb, (_, words) in verbs.items() if words])


# Under each heading of the help: the verb, the module that it lies in, and its line; one without is a second spelling.
HEADINGS = {
    "Sessions": {
        "start": ("start", "Start a session for a directory, or resume the one that it has, and attach to it."),
        "attach": ("attach", "Open the terminal of a session; it reconnects by itself."),
        "stop": ("stop", "Bring files and commits home, end the session, and remove it."),
        "sessions": ("sessions", "List the sessions."),
        "ls": ("sessions", ""),
        "status": ("status", "Show how a session stands: its pod, its fence, its sync."),
        "logs": ("logs", "Print the log of one container of a session's pod."),
        "cleanup": ("cleanup", "End the sessions that were idle for too long or are too old; what killed starts left."),
    },
    "Your files": {
        "sync": ("sync", "How the workspace is kept in step: status, conflicts, verify and more."),
        "review": ("review", "Show what the guard held back, and bring it over."),
        "cp": ("copy", "Copy files in and out, beside the sync."),
    },
    "The agent": {
        "agent": ("agent", "What the coding agent does: working, waiting for you, ended."),
        "exec": ("execute", "Run a command where the agent runs, and end with its exit code."),
        "forward": ("forward", "Bring a port of the agent's to this machine: a server that it runs."),
        "credentials": ("credentials", "Give a session the credentials that this machine has now: refresh."),
    },
    "The wall": {
        "egress": ("egress", "Show what a session may reach."),
        "allow": ("allow", "Let a running session reach one more host."),
        "deny": ("deny", "Take a host off a running session's list, and end connections to it."),
        "blocked": ("blocked", "Show what was refused to a session, and the command that would allow it."),
        "verify": ("verify", "Prove a session's wall now: every probe, one line each."),
    },
    "This machine": {
        "setup": ("setup", "Find out where sessions can run, and write your settings."),
        "doctor": ("doctor", "Look at everything that a session needs, and say what is missing."),
        "config": ("config", "Show what is set, and where each value comes from."),
        "ssh-config": ("ssh_config", "Print the line for ~/.ssh/config that makes sessions known to ssh."),
        "completion": ("completion", "Print the completion script for bash, zsh or fish."),
        "prune": ("prune", "Remove images of paude's from this machine that no start would use any more."),
        "supervisor": ("supervisor", "The background process that keeps tunnels and sync alive."),
        "bench": ("bench", "Measure paude itself."),
    },
}
VERBS = {verb: entry for entries in HEADINGS.values() for verb, entry in entries.items()}

HELP = """Run a coding agent on Kubernetes, OpenShift or Podman, walled in, with live file sync.

\b
  paude start    run an agent on this directory, and open its terminal
  paude attach   come back to the terminal; ~. leaves it
  paude stop     bring the work home, and remove everything

A verb that takes NAME means the most recent session when it is left out.
"""
app = typer.Typer(
    name="paude",
    cls=Verbs,
    subcommand_metavar="VERB [...]",
    help=HELP,
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
    sys.stdout, sys.stderr = cast(TextIO, Redacted(sys.stdout)), cast(TextIO, Redacted(sys.stderr))
    if "--" in words:
        # Split here: the parser would hand the first of them to an optional argument of the verb.
        cut = words.index("--")
        words, _passed_on[:] = words[:cut], words[cut + 1 :]
    try:
        _stand_somewhere()
        # One name for `paude`, `python -m paude` and the shell's completion, another as a plug-in of kubectl.
        app(words, prog_name="kubectl paude" if Path(sys.argv[0]).name == "kubectl-paude" else "paude")
    except PaudeError as error:
        fail(error)
    except BrokenPipeError:
        # The reader of our output has gone (`paude sessions | head`): not an error worth words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


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
