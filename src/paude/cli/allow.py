"""`paude allow`: one more host for a session that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, say
from paude.cli.verb import Verb

Host = Annotated[
    str, typer.Argument(metavar="HOST", help="A host name, *.NAME for all below it, or vertex, anthropic.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(allow)


def allow(
    host: Host,
    name: options.Name = None,
    timeout: options.Timeout = 120,
    progress: options.Progress = "auto",
) -> None:
    """Let a session reach one more host, while it runs. No other session is touched."""
    from paude.egress.allowlist import Allowlist

    for warning in Allowlist.of((host,)).warnings:
        say(f"warning: {warning}")
    change(name, add=(host,), timeout=timeout, progress=progress)


def change(
    name: str | None, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), timeout: float, progress: str
) -> None:
    """Give the session another list, and say what it is."""

    async def work() -> None:
        from paude.cli import display
        from paude.cli.choose import record_of
        from paude.plans.perform import change_list
        from paude.settings import Paths

        paths = Paths.from_environment()
        record = record_of(name, paths)
        before, after = await change_list(
            record, paths, display.opener(progress), add=add, remove=remove, limit_s=timeout
        )
        if before == after:
            say(f"nothing to do: {record.name} may reach that already")
            return
        say(f"{record.name} may reach: {', '.join(after.hosts) or 'nothing'}")

    in_loop(work)
