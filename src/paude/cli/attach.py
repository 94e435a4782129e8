"""`paude attach`: the agent's terminal, which reconnects by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, say
from paude.cli.verb import Verb
from paude.errors import AgentEnded, NotFound

if TYPE_CHECKING:
    from paude.settings import Paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(attach)


def attach(
    name: options.Name = None,
    clipboard: Annotated[
        bool | None,
        typer.Option(help="Let the agent's programs write to your clipboard; PAUDE_CLIPBOARD=1 for always."),
    ] = None,
) -> None:
    """Open the terminal of a session; it reconnects by itself. ~. at the start of a line leaves it, ~? lists the keys.

    The agent goes on when you leave. While the start is under way, its steps are shown first.
    """
    from paude.cli.choose import record_of
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    if not record.committed:
        in_loop(lambda: _watch_start(record.name, paths))
        record = record_of(record.name, paths)
    if not record.committed:
        raise NotFound(f"{record.name} is not ready: its start is under way, or was killed", hint="`paude start` again")
    open_terminal(record.name, clipboard)


async def _watch_start(name: str, paths: Paths) -> None:
    """Show how far the start is, until it has ended one way or the other."""
    from paude.sessions import progress

    async for line in progress.follow(paths, name):
        say(f"{name}: {line}")


def open_terminal(name: str, clipboard: bool | None = None) -> None:
    """Show the session's terminal until the user leaves it; `clipboard` as in the settings when it is None."""
    from paude.plans.attach import open_shell
    from paude.settings import Paths, read
    from paude.ssh.outcome import AgentEnded as Ended

    paths = Paths.from_environment()
    allowed = read(paths, None, {"terminal.clipboard": clipboard}).values.terminal.clipboard
    result = in_loop(lambda: open_shell(name, paths, clipboard=allowed))
    if isinstance(result, Ended):
        code = "" if result.code is None else f" with {result.code}"
        raise AgentEnded(f"the agent of {name} has ended{code}", hint=f"`paude stop {name}` brings its work home")
    say(f"detached; the agent goes on. `paude attach {name}` comes back to it")
