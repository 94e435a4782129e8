"""`paude review`: what the guard held back, and bringing it over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import put, say
from paude.cli.sync import inside, with_session
from paude.cli.verb import Verb

if TYPE_CHECKING:
    from paude.sessions.records import Record
    from paude.settings import Paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(review)


def review(
    name: options.Name = None,
    accept: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Bring this path over, as it was shown; may be repeated.")
    ] = None,
    output: printed.Facts = "text",
) -> None:
    """Show what the guard held back: what this machine might execute or obey never comes by itself.

    A path can be accepted once it was shown, and only as it was shown: paude review --accept .envrc
    """
    output = printed.checked(output, printed.FACTS)  # no bare names: what may be accepted must have been shown
    if accept:
        with_session(name, lambda paths, record: _accept(paths, record, tuple(accept)))
        return
    found = with_session(name, lambda paths, record: _review(paths, record, tell=output == "text"))
    came = with_session(name, _flagged)
    if printed.document(output, {"schema": 1, "held": found, "flagged": came}):
        return
    if not found:
        say("nothing is held")
    if came:
        say("these came, and tools here run them when they are called; look at them first:")
        for one in came:
            put(f"{one['path']}: {one['change']}, {one['time']}")


async def _accept(paths: Paths, record: Record, wanted: tuple[str, ...]) -> None:
    from paude.plans.review import accept
    from paude.sync.shown import visible

    for path in wanted:
        kept = await accept(paths, record, inside(record, path))
        say(f"{visible(path)} was brought over" + (f"; your version is {visible(kept)}" if kept else ""))


async def _review(paths: Paths, record: Record, *, tell: bool) -> list[dict[str, Any]]:
    from contextlib import aclosing

    from paude.plans.review import review as look

    found = []
    async with aclosing(look(paths, record)) as shown:
        async for one in shown:
            found.append(asdict(one))
            if tell:
                _tell(one.path, one.change, one.executable, one.text)
    return found


async def _flagged(paths: Paths, record: Record) -> list[dict[str, Any]]:
    from paude.sync import session
    from paude.sync.shown import visible

    state = await session.state(paths, record.name)
    return [{**asdict(one), "path": visible(one.path)} for one in state.flagged]


def _tell(path: str, change: str, executable: bool, text: str) -> None:
    from paude.sync.shown import visible

    put(f"{visible(path)}: {change}{', executable' if executable else ''}\n{text}\n")
