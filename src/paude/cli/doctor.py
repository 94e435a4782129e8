"""`paude doctor`: one line for each thing that a session needs, and what to do about those that are missing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, put, say
from paude.cli.output import FACTS, Facts, checked, document
from paude.cli.verb import Verb
from paude.errors import PaudeError

if TYPE_CHECKING:
    from paude.plans.doctor import Check

SCHEMA = 1
_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(doctor)


def doctor(
    workspace: Annotated[
        Path, typer.Argument(parser=options.path, metavar="DIRECTORY", help="The workspace whose paude.json counts.")
    ] = Path("."),
    output: Facts = "text",
    bundle: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            metavar="FILE",
            help="Also write a tar file for a bug report: no secrets, no contents of yours.",
        ),
    ] = None,
) -> None:
    """Look at everything that a session needs, and change nothing. Ends with 1 when something is missing."""
    from paude.plans.doctor import examine
    from paude.settings import Paths, read

    output = checked(output, FACTS)
    paths = Paths.from_environment()
    settled = read(paths, workspace.absolute())
    checks = in_loop(lambda: examine(settled, paths, workspace.absolute()))
    facts = {"schema": SCHEMA, "checks": [asdict(check) for check in checks]}
    if not document(output, facts):
        print_checks(checks)
    if bundle is not None:
        from paude.cli import bundle as bundles

        bundles.write(bundle, paths, settled, facts)
        say(f"{bundle} is for your bug report; look into it before you send it")
    bad = [check.name for check in checks if check.result == "failed"]
    if bad:
        raise PaudeError(f"not in order: {', '.join(bad)}", hint="the lines above say what to do")


def print_checks(checks: list[Check]) -> None:
    """A line for each, and below it what to do."""
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        put(f"{_MARKS[check.result]:<8} {check.name:<{width}}  {check.seen}")
        if check.remedy and check.result != "ok":
            put(f"{'':<8} {'':<{width}}  → {check.remedy}")
