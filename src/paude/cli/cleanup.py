"""`paude cleanup`: end the sessions that have had their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, put, say
from paude.cli.output import LISTING, Listing, checked, document, table
from paude.cli.verb import Verb
from paude.errors import UsageError

if TYPE_CHECKING:
    from paude.plans.cleanup import Stale
    from paude.settings import Paths

SCHEMA = 1


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(cleanup)


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be ended, and end nothing.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Also those that were started longer ago than this: 90m, 48h."),
    ] = None,
    output: Listing = "text",
    timeout: options.Timeout = 300,
    progress: options.Progress = "auto",
) -> None:
    """End the sessions that were parked because they were idle or too old, and what killed starts left.

    Each is stopped as `paude stop` does it: its work comes home first, and where some would be lost its volume stays.
    """
    from paude.cli import display
    from paude.plans.cleanup import end, survey
    from paude.settings import Paths, read

    output = checked(output, LISTING)
    span = _seconds(older_than)
    paths = Paths.from_environment()
    found = in_loop(lambda: survey(paths, older_than_s=span))
    for trouble in found.troubles:
        say(f"warning: {trouble}")
    if dry_run or not found.stale:
        _print(found.stale, output)
        return
    keep = read(paths, None).values.lifecycle.keep_workspace
    failed = in_loop(lambda: end(found.stale, paths, display.opener(progress), say, keep_volume=keep, limit_s=timeout))
    if failed:
        raise failed[0]


def sweep(paths: Paths, *but: str) -> None:
    """What every start and stop does by the way for the sessions that have had their time, except `but`."""
    from paude.cli import display
    from paude.plans.cleanup import end, survey
    from paude.settings import read

    found = in_loop(lambda: survey(paths, but=but))
    if found.stale:
        keep = read(paths, None).values.lifecycle.keep_workspace
        in_loop(lambda: end(found.stale, paths, display.opener("quiet"), say, keep_volume=keep, limit_s=120))


def _seconds(words: str | None) -> float | None:
    from paude.settings.kinds import DURATION

    try:
        return None if words is None else DURATION.parse(DURATION.from_text(words))
    except ValueError as exc:
        raise UsageError(f"--older-than is {words!r}", why=str(exc)) from exc


def _print(stale: list[Stale], output: str) -> None:
    rows = [(one.record.name, one.why, one.record.workspace) for one in stale]
    facts = [{"name": name, "why": why, "workspace": workspace} for name, why, workspace in rows]
    if document(output, {"schema": SCHEMA, "stale": facts}):
        return
    if output == "name":
        for name, _, _ in rows:
            put(name)
    elif rows:
        table(("NAME", "WHY", "WORKSPACE"), rows)
    else:
        say("there is nothing to clean up")
