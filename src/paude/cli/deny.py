"""`paude deny`: one host less for a session that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli import options
from paude.cli.allow import change
from paude.cli.verb import Verb


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(deny)


def deny(
    host: Annotated[str, typer.Argument(metavar="HOST", help="What `paude egress show` lists, or vertex, anthropic.")],
    name: options.Name = None,
    timeout: options.Timeout = 120,
    progress: options.Progress = "auto",
) -> None:
    """Take a host off a session's list, while it runs; connections to it are ended."""
    change(name, remove=(host,), timeout=timeout, progress=progress)
