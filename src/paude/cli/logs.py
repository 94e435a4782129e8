"""`paude logs`: what the containers of a session printed."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, put
from paude.cli.verb import Verb
from paude.errors import UsageError

CONTAINERS = ("gate", "fence", "agent", "proxy", "net")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(logs)


def logs(
    name: options.Name = None,
    container: Annotated[
        str,
        typer.Option(
            "--container", "-c", metavar="NAME", help="gate, fence or agent; on Podman gate, agent, proxy or net."
        ),
    ] = "gate",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    previous: Annotated[bool, typer.Option("--previous", help="Of the container that ran before.")] = False,
) -> None:
    """Print the log of one container of a session's pod."""
    if container not in CONTAINERS:
        raise UsageError(f"there is no container {container!r}", hint="containers: " + ", ".join(CONTAINERS))

    async def show() -> None:
        from paude.cli.choose import record_of
        from paude.plans.look import log
        from paude.process import clean
        from paude.settings import Paths

        paths = Paths.from_environment()
        record = record_of(name, paths)
        await log(record, paths, container, lambda line: put(clean(line)), follow=follow, previous=previous)

    in_loop(show)
