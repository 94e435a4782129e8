"""`paude exec`: one command in the agent's container."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import passed_on
from paude.cli.verb import Verb
from paude.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("exec", cls=_Exec)(execute)


class _Exec(Verb):
    passes_on = "-- COMMAND [ARGUMENT...]"


def execute(
    name: options.Name = None,
    tty: Annotated[
        bool | None, typer.Option("--tty/--no-tty", help="Whether it gets a terminal; else as this one is.")
    ] = None,
) -> None:
    """Run a command where the agent runs, and end with its exit code.

    For example: paude exec -- git log --oneline
    """
    import sys

    from paude.cli.choose import record_of
    from paude.settings import Paths
    from paude.ssh.openssh import become_ssh

    command = passed_on()
    if not command:
        raise UsageError("there is no command", hint="paude exec NAME -- COMMAND")
    paths = Paths.from_environment()
    record = record_of(name, paths)
    terminal = tty if tty is not None else sys.stdin.isatty() and sys.stdout.isatty()
    become_ssh(paths, record.name, command, terminal=terminal)
