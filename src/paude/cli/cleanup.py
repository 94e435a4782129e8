"""`paude cleanup`: end the sessions that have had their time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, put, say
from paude.cli.output import LISTING, Listing, checked, document, table
from paude.cli.verb import Verb
from paude.errors import PaudeError, UsageError

if TYPE_CHECKING:
    from paude.plans.cleanup import Stale, Survey
    from paude.plans.relays import Left
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
    elsewhere: Annotated[
        bool,
        typer.Option("--elsewhere", help="Instead those of yours whose laptop or home directory is gone."),
    ] = False,
    owner: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --elsewhere: those of this user, by the name in `sessions -o wide`."),
    ] = None,
    output: Listing = "text",
    timeout: options.Timeout = 300,
    progress: options.Progress = "auto",
) -> None:
    """End the sessions that were parked because they were idle or too old, and what killed starts left.

    Each is stopped as `paude stop` does it: its work comes home first, and where some would be lost its volume stays.

    With --elsewhere it is the sessions that this machine did not start, or has forgotten: those that are parked, for
    whatever reason. Their volumes stay, since nobody here can know what is on them alone. A name of which nothing else
    is left for a day is given back.
    """
    if owner is not None and not elsewhere:
        raise UsageError("--owner goes with --elsewhere")

    from paude.settings import Paths

    output = checked(output, LISTING)
    span = _seconds(older_than)
    paths = Paths.from_environment()
    found, end = _elsewhere(paths, owner, span) if elsewhere else _here(paths, span)
    relays, unasked = ([], []) if elsewhere else _relays(paths)
    for trouble in [*found.troubles, *unasked]:
        say(f"warning: {trouble}")
    if found.others:
        say(f"passed over: the sessions of {', '.join(found.others)}; --owner names one of them")
    if dry_run or not (found.stale or relays):
        _print(found.stale, relays, output)
        return
    failed = [*_remove(relays, paths, timeout), *in_loop(lambda: end(progress, timeout))]
    if failed:
        raise failed[0]


_End = Callable[[str, float], Awaitable[list[PaudeError]]]


def _here(paths: Paths, span: float | None) -> tuple[Survey, _End]:
    from paude.cli import display
    from paude.plans.cleanup import end, survey
    from paude.settings import read

    found = in_loop(lambda: survey(paths, older_than_s=span))
    keep = read(paths, None).values.lifecycle.keep_workspace
    return found, lambda kind, limit: end(
        found.stale, paths, display.opener(kind), say, keep_volume=keep, limit_s=limit
    )


def _elsewhere(paths: Paths, owner: str | None, span: float | None) -> tuple[Survey, _End]:
    from paude.cli import display
    from paude.plans.cleanup import end_elsewhere, survey_elsewhere
    from paude.plans.request import owner as me

    found = in_loop(lambda: survey_elsewhere(paths, owner or me(), older_than_s=span))
    return found, lambda kind, limit: end_elsewhere(found.stale, paths, display.opener(kind), say, limit_s=limit)


def _relays(paths: Paths) -> tuple[list[Left], list[str]]:
    from paude.plans.relays import survey

    return in_loop(lambda: survey(paths))


def _remove(relays: list[Left], paths: Paths, limit_s: float) -> list[PaudeError]:
    from paude.plans.relays import remove

    return in_loop(lambda: remove(relays, paths, say, limit_s=limit_s)) if relays else []


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


def _print(stale: list[Stale], relays: list[Left], output: str) -> None:
    from paude.plans.relays import WHY

    rows = [(one.record.name, one.why, one.record.workspace) for one in stale]
    facts = [{"name": name, "why": why, "workspace": workspace} for name, why, workspace in rows]
    pods = [{"name": one.name, "namespace": one.target.namespace, "server": one.target.server} for one in relays]
    if document(output, {"schema": SCHEMA, "stale": facts, "relays": pods}):
        return
    rows += [(one.name, WHY, f"namespace {one.target.namespace}") for one in relays]
    if output == "name":
        for name, _, _ in rows:
            put(name)
    elif rows:
        table(("NAME", "WHY", "WORKSPACE"), rows)
    else:
        say("there is nothing to clean up")
