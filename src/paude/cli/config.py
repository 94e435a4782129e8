"""`paude config`: what is set, and where each value comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import put, say
from paude.cli.output import FACTS, Facts, checked, document, table
from paude.cli.verb import Verb

SCHEMA = 1

group = typer.Typer(no_args_is_help=True, help="What is set, and where each value comes from.")


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(group, name="config")


@group.command(cls=Verb)
def show(
    workspace: Annotated[
        Path, typer.Argument(parser=options.path, metavar="DIRECTORY", help="The workspace whose paude.json counts.")
    ] = Path("."),
    output: Facts = "text",
    every: Annotated[bool, typer.Option("--all", help="Show what nobody set, too.")] = False,
) -> None:
    """Print what is set, and where it comes from. A variable, paude.json, your own file, or the default."""
    from paude.settings import Paths, read, shown

    output = checked(output, FACTS)
    settled = read(Paths.from_environment(), workspace.absolute())
    for warning in settled.warnings:
        say(f"warning: {warning}")
    if document(output, {"schema": SCHEMA, "settings": shown.as_json(settled.found)}):
        return
    chosen = [one for one in settled.found if every or one.origin]
    rows = [(one.setting.name, shown.text(one.value), one.origin or "default") for one in chosen]
    if rows:
        table(("SETTING", "VALUE", "FROM"), rows)
    else:
        say("nothing is set; `paude config show --all` prints the defaults, docs/configuration.md what they mean")


@group.command(cls=Verb)
def path() -> None:
    """Print where your own settings lie."""
    from paude.settings import Paths

    put(str(Paths.from_environment().user_settings))


@group.command(cls=Verb)
def schema() -> None:
    """Print the JSON schema of both files, for an editor."""
    from paude.settings import shown

    put(json.dumps(shown.schema(), indent=1))
