"""`paude agent`: what the coding agent does, by its own word, and waiting until it needs its user."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb
from paude.errors import AgentEnded, CommandFailed, UsageError

if TYPE_CHECKING:
    from paude.sessions.activity import Activity
    from paude.sessions.records import Record

SCHEMA = 1
group = typer.Typer(help="What the coding agent does.", rich_markup_mode=None, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(group, name="agent")


@group.command(cls=Verb)
def status(name: options.Name = None, output: printed.Facts = "text") -> None:
    """Show whether the agent works, waits for you, or has ended. It is the agent's own word."""
    output = printed.checked(output, printed.FACTS)

    async def ask() -> tuple[Record, Activity]:
        from paude.cli.choose import record_of
        from paude.plans.activity import look
        from paude.settings import Paths

        paths = Paths.from_environment()
        record = record_of(name, paths)
        return record, await look(record, paths)

    record, found = in_loop(ask)
    if not printed.document(output, _fact(record, found)):
        put(_words(record.name, found))


@group.command(cls=Verb)
def wait(
    name: options.Name = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and tell each time.")] = False,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="PROGRAM",
            help="A program to run each time; it finds PAUDE_SESSION and PAUDE_MESSAGE in its environment.",
        ),
    ] = None,
    output: printed.Facts = "text",
) -> None:
    """Return when the agent waits for you. Exit code 10 when it has ended.

    For example: paude agent wait && notify-send "it waits"
    """
    output = printed.checked(output, printed.FACTS)
    words = _split(command)

    async def work() -> None:
        from paude.cli.choose import record_of
        from paude.plans.activity import waits
        from paude.settings import Paths

        paths = Paths.from_environment()
        record = record_of(name, paths)
        async with waits(record, paths) as times:
            async for one in times:
                if not printed.document(output, _fact(record, one), one_of_many=True):
                    put(_words(record.name, one))
                await _run(words, record.name, one)
                _ended(record.name, one)
                if not watch:
                    return

    in_loop(work)


def _fact(record: Record, found: Activity) -> dict[str, Any]:
    return {"schema": SCHEMA, "session": record.name, "agent": record.agent, **asdict(found)}


def _words(name: str, found: Activity) -> str:
    from paude.cli.sessions import age
    from paude.sync.shown import visible

    since = "" if found.for_s is None else f", for {age(found.for_s)}"
    code = "" if found.code is None else f" with {found.code}"
    message = f": {visible(found.message)}" if found.message else ""
    return f"{name}: {found.doing}{code}{since}{message}"


def _split(command: str | None) -> list[str]:
    try:
        return shlex.split(command or "")
    except ValueError as exc:
        raise UsageError(f"--command cannot be read: {exc}", hint="quote it as for a shell") from exc


async def _run(words: list[str], name: str, found: Activity) -> None:
    """The user's own program; what the agent said is never part of its arguments."""
    from paude.process import run

    if not words:
        return
    try:
        await run(words, env={**os.environ, "PAUDE_SESSION": name, "PAUDE_MESSAGE": found.message})
    except CommandFailed as error:
        say(f"warning: {error}")


def _ended(name: str, found: Activity) -> None:
    from paude.sessions.activity import Doing

    if found.doing is Doing.ENDED:
        raise AgentEnded(
            f"the agent of {name} has ended with {found.code}", hint=f"`paude stop {name}` brings its work home"
        )
