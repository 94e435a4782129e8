"""`paude ssh-config`: how other programs reach sessions."""

from __future__ import annotations

import typer

from paude.cli.app import put, say


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ssh-config")(ssh_config)


def ssh_config() -> None:
    """Print the line for ~/.ssh/config with which ssh, scp, rsync, git and editors know NAME.paude."""
    from paude.settings import Paths

    file = Paths.from_environment().state / "ssh_config"
    put(f'Include "{file}"')
    if not file.exists():
        say("note: the file is written when the first session starts")
