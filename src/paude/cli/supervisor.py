"""`paude supervisor`: the background process that keeps tunnels and sync alive."""

from __future__ import annotations

import json

import typer

from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb

group = typer.Typer(help="The background process that keeps tunnels and sync alive.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(group, name="supervisor")


@group.command(cls=Verb)
def run() -> None:
    """Be the supervisor (started by other verbs)."""
    from paude.plans.supervise import supervise
    from paude.settings import Paths

    in_loop(lambda: supervise(Paths.from_environment()))


@group.command(cls=Verb)
def status(output: printed.Facts = "text") -> None:
    """Show whether it runs, and for what."""
    output = printed.checked(output, printed.FACTS)
    from paude.settings import Paths
    from paude.supervisor import client

    found = in_loop(lambda: client.status(Paths.from_environment()))
    facts = {"schema": 1, "running": found is not None, **(found or {})}
    if printed.document(output, facts):
        return
    if found is None:
        put("not running; the next verb that needs it starts it")
    for key, value in (found or {}).items():
        put(f"{key + ':':<12}{value if isinstance(value, (str, int, float)) else json.dumps(value)}")


@group.command(cls=Verb)
def stop() -> None:
    """End it; sessions go on, sync and open terminals pause."""
    from paude.settings import Paths
    from paude.supervisor import client

    in_loop(lambda: client.stop(Paths.from_environment()))
    say("the supervisor has ended; the next verb that needs it starts it")


@group.command(cls=Verb)
def restart() -> None:
    """End it and start it anew."""
    from paude.settings import Paths
    from paude.supervisor import client

    async def again() -> None:
        paths = Paths.from_environment()
        await client.stop(paths)
        await client.ensure(paths)

    in_loop(again)
    say("the supervisor has been restarted")
