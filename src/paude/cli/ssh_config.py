"""`paude ssh-config`: how other programs reach sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import put, say
from paude.cli.ask import agreed
from paude.cli.verb import Verb
from paude.errors import UsageError

if TYPE_CHECKING:
    from paude.ssh.include import Change


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ssh-config", cls=Verb)(ssh_config)


def ssh_config(
    install: Annotated[bool, typer.Option("--install", help="Add the line to ~/.ssh/config, after a look.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it out again.")] = False,
    yes: options.Yes = False,
) -> None:
    """Print the line for ~/.ssh/config with which ssh, scp, rsync, git and editors know NAME.paude."""
    from pathlib import Path

    from paude.settings import Paths
    from paude.ssh import include

    if install and uninstall:
        raise UsageError("--install and --uninstall are opposites")
    ours = Paths.from_environment().state / "ssh_config"
    line, theirs = include.line_for(ours), Path.home() / ".ssh/config"
    if install:
        _change(include.installing(theirs, line), yes)
    elif uninstall:
        _change(include.uninstalling(theirs, line), yes)
    else:
        put(line)
    if not uninstall and not ours.exists():
        say("note: the file is written when the first session starts")


def _change(change: Change, yes: bool) -> None:
    if not change.needed:
        say(f"{change.file} is as it should be")
        return
    diff = change.diff()
    matter = UsageError(f"{change.file} would be changed", why=diff, hint="make the change with --yes")
    if yes:
        say(diff)
    elif not agreed(matter, "Make this change?"):
        say("nothing was changed")
        return
    change.write()
    say(f"{change.file} is changed")
