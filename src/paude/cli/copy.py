"""`paude cp`: files in and out, beside the sync."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli.verb import Verb
from paude.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("cp", cls=Verb)(copy)


def copy(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... TARGET", help="Files here, or NAME:PATH in a session; the target comes last."
        ),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Directories too.")] = False,
) -> None:
    """Copy files in and out, beside the sync. Paths in a session count from /workspace unless they begin with /.

    For example: paude cp data.csv my-session:data.csv
    """
    from paude.cli.choose import record_of
    from paude.settings import Paths
    from paude.ssh.openssh import become_scp
    from paude.ssh.ssh_config import agent_alias

    if len(sources) < 2:
        raise UsageError("`paude cp` needs a source and a target")
    paths = Paths.from_environment()

    def end(word: str) -> str:
        name, colon, path = word.partition(":")
        if not colon or "/" in name:
            return word
        return f"{agent_alias(record_of(name or None, paths).name)}:{path}"

    words = [end(word) for word in sources]
    if words == sources:
        raise UsageError("none of them is in a session", hint="write NAME:PATH for a file in a session")
    become_scp(paths, [*(["-r"] if recursive else []), "-p", "--", *words])
