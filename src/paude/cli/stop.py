"""`paude stop`: bring the work home and end sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, say
from paude.cli.verb import Verb
from paude.errors import PaudeError, UsageError, WorkWouldBeLost

if TYPE_CHECKING:
    from paude.sessions.records import Record
    from paude.settings import Paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(stop)


def stop(
    name: options.Name = None,
    every: Annotated[bool, typer.Option("--all", help="All of your sessions that this machine knows.")] = False,
    keep_workspace: Annotated[
        bool, typer.Option("--keep-workspace", help="Keep the volume; `paude start` resumes the session.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Delete the volume even if work on it would be lost.")
    ] = False,
    timeout: options.Timeout = 300,
    progress: options.Progress = "auto",
) -> None:
    """Bring files and commits home, end the session, and remove it.

    The volume stays when something on it is not here (exit code 9), or with --keep-workspace: `paude start` resumes.
    """
    if keep_workspace and discard:
        raise UsageError("--keep-workspace and --discard exclude each other")

    from paude.cli.cleanup import sweep
    from paude.settings import Paths, read

    paths = Paths.from_environment()

    async def work() -> None:
        from paude.cli.choose import record_of
        from paude.sessions import records

        keep = keep_workspace or (not discard and read(paths, None).values.lifecycle.keep_workspace)
        chosen = [record_of(name, paths)] if not every else records.here(paths)
        dying = [record.name for record in chosen if record.volume == "emptydir"]
        if keep_workspace and dying:
            raise UsageError(f"the volume of {', '.join(dying)} dies with its pod", hint="leave --keep-workspace out")
        await _stop_each(chosen, paths, keep_workspace=keep, discard=discard, limit=timeout, kind=progress)

    in_loop(work)
    sweep(paths)


async def _stop_each(
    chosen: list[Record], paths: Paths, *, keep_workspace: bool, discard: bool, limit: float, kind: str
) -> None:
    """One after the other; a session that cannot be stopped does not keep the others from it."""
    failed: list[PaudeError] = []
    if not chosen:
        say("there is no session to stop")
    for record in chosen:
        try:
            await _stop_one(record, paths, keep_workspace=keep_workspace, discard=discard, limit=limit, kind=kind)
        except PaudeError as error:
            if len(chosen) == 1:
                raise
            say(f"error: {record.name}: {error}")
            failed.append(error)
    if failed:
        raise failed[0]


async def _stop_one(
    record: Record, paths: Paths, *, keep_workspace: bool, discard: bool, limit: float, kind: str
) -> None:
    from paude.cli import display
    from paude.plans.perform import stop_session
    from paude.sessions import records

    keep_workspace = keep_workspace and record.volume == "claim"
    with records.held(paths, record) as current:
        losses = await stop_session(
            current, paths, display.opener(kind), keep_volume=keep_workspace, discard=discard, limit_s=limit
        )
    if losses and not discard:
        raise WorkWouldBeLost(
            f"{record.name} has ended, and its volume was kept: something on it is not here",
            why="\n".join(losses),
            hint=f"`paude start` resumes it; `paude stop {record.name} --discard` deletes it all the same",
        )
    say(f"{record.name} has ended" + (" and its volume was kept" if keep_workspace else ""))
