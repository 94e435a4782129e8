"""`paude forward`: a server that the agent runs, in the user's browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import completion
from paude.cli.app import say
from paude.cli.verb import Verb
from paude.errors import UsageError

if TYPE_CHECKING:
    import socket

    from paude.settings import Paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(forward)


def forward(
    first: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]",
            show_default=False,
            help="The session; else the most recent one.",
            autocompletion=completion.sessions,
        ),
    ],
    second: Annotated[
        str | None,
        typer.Argument(metavar="[LOCAL:]PORT", help="The port there, and the one here when it is another."),
    ] = None,
) -> None:
    """Bring a port of the agent's loopback to this machine's, until interrupted; it reconnects by itself.

    What answers there is the agent's work: do not type into it what the agent must not know.

    For example: paude forward 8000
    """
    import anyio

    from paude.cli.choose import record_of
    from paude.settings import Paths
    from paude.ssh.forward import listening

    local, port = ports(second or first)
    paths = Paths.from_environment()
    record = record_of(first if second else None, paths)
    with listening(local) as listener:
        anyio.run(_until_interrupted, record.name, paths, listener, port)


def ports(words: str) -> tuple[int, int]:
    """The local and the remote port of `[LOCAL:]PORT`. Raises UsageError."""
    local, _, port = words.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{words!r} is no port", hint="paude forward [NAME] [LOCAL:]PORT")
    if local and not (local.isascii() and local.isdigit() and int(local) < 65536):
        raise UsageError(f"{local!r} is no port of this machine", hint="paude forward [NAME] [LOCAL:]PORT")
    return int(local or port), int(port)


async def _until_interrupted(name: str, paths: Paths, listener: socket.socket, port: int) -> None:
    import signal

    import anyio

    from paude.errors import PaudeError
    from paude.plans.forward import forward_port

    here = "http://{}:{}".format(*listener.getsockname())
    words = {
        "live": f"{here} is port {port} of {name}; ^C ends it",
        "lost": "the link is lost; connecting anew",
        "refused": f"nothing listens at port {port} of {name} (the server has to listen on 127.0.0.1 or on all)",
    }
    failure: PaudeError | None = None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                nonlocal failure
                try:
                    await forward_port(name, paths, listener, port, lambda news: say(words[news.value]))
                except PaudeError as exc:
                    failure = exc
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            await anext(aiter(signals))
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
