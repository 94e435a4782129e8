"""The command line as a whole: the verbs, and the words that they are asked with.

Importing this must stay cheap (`paude --help` ≤ 0.12 s): verbs import what they need when they run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from paude import __version__
from paude.cli.loop import fail, framed, in_loop, nobody_reads, put, say

__all__ = ["HEADINGS", "VERBS", "app", "fail", "in_loop", "passed_on", "put", "run", "say"]


@contextmanager
def _no_reader_no_error() -> Iterator[None]:
    """The parser would end with 1 where nobody reads the output any more."""
    try:
        yield
    except BrokenPipeError:
        nobody_reads()
        raise typer.Exit from None


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

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Read the words, and print what some of them ask for."""
        with _no_reader_no_error():
            return super().make_context(*words, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _no_reader_no_error():
            return super().invoke(ctx)

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
    if "--" in words:
        # Split here: the parser would hand the first of them to an optional argument of the verb.
        cut = words.index("--")
        words, _passed_on[:] = words[:cut], words[cut + 1 :]
    # One name for `paude`, `python -m paude` and the shell's completion, another as a plug-in of kubectl.
    name = "kubectl paude" if Path(sys.argv[0]).name == "kubectl-paude" else "paude"
    framed(lambda: app(words, prog_name=name))
