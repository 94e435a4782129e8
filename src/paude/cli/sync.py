"""`paude sync`: how the workspace is kept in step, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paude.cli import completion, options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.ask import agreed
from paude.cli.verb import Verb
from paude.errors import PaudeError, UsageError, WorkWouldBeLost

if TYPE_CHECKING:
    from paude.sessions.records import Record
    from paude.settings import Paths
    from paude.sync.state import SyncState

group = typer.Typer(help="How the workspace is kept in step.", rich_markup_mode=None)
Session = Annotated[
    str | None,
    typer.Option(
        "--session", metavar="NAME", help="The session; else the most recent one.", autocompletion=completion.sessions
    ),
]
PathHere = Annotated[str, typer.Argument(metavar="PATH", help="The path, from the workspace's top.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(group, name="sync")


def with_session(name: str | None, work: Callable[[Paths, Record], Awaitable[Any]]) -> Any:
    """Run `work` for a session, with a supervisor that runs."""

    async def run() -> Any:
        from paude.cli.choose import record_of
        from paude.settings import Paths
        from paude.supervisor import client

        paths = Paths.from_environment()
        record = record_of(name, paths)
        if record.mounted:
            raise UsageError(f"{record.name} works on {record.workspace} itself (--mount): nothing is synced or held")
        if record.guest:
            from paude.plans.owner import kept_elsewhere

            raise kept_elsewhere(record.name)
        await client.ensure(paths)
        return await work(paths, record)

    return in_loop(run)


def inside(record: Record, path: str) -> str:
    """A path as typed, from the workspace's top: absolute ones and those that begin with a dot count from here."""
    if not path.startswith(("/", "./", "../")):
        return path
    try:
        return str((Path.cwd() / path).resolve().relative_to(record.workspace))
    except ValueError as exc:
        raise UsageError(f"{path} is not in {record.workspace}") from exc


@group.command(cls=Verb)
def status(
    name: options.Name = None,
    output: printed.Facts = "text",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and tell each change, until interrupted.")
    ] = False,
) -> None:
    """Show whether changes arrive, and what stands in the way."""
    output = printed.checked(output, printed.FACTS)

    async def work(paths: Paths, record: Record) -> None:
        from contextlib import aclosing

        from paude.sync import session

        if not watch:
            show(await session.state(paths, record.name), output)
            if output == "text":
                _history(paths, record)
            return
        async with aclosing(session.watch(paths, record.name)) as states:
            async for state in states:
                show(state, output, one_line=True)

    with_session(name, work)


def show(state: SyncState, output: str, *, one_line: bool = False) -> None:
    """One state, as it was asked for."""
    facts = {"schema": 1, "healthy": state.healthy, "message": state.message, **asdict(state)}
    if printed.document(output, facts, one_of_many=one_line):
        return
    words, last = state.message or "in step", state.last_success or "never"
    put(f"{state.status}: {words}; {state.files} files, {state.bytes} bytes; last success {last}")
    if not one_line:
        _details(state)


def _details(state: SyncState) -> None:
    from paude.sync.shown import visible

    for one in state.conflicts:
        put(f"  conflict: {visible(one.path)}")
    for problem in state.problems:
        put(f"  problem, {problem.side}: {visible(problem.path)}: {visible(problem.error)}")
    if state.problems_unlisted:
        put(f"  … and {state.problems_unlisted} more problems")
    for brake in state.brakes:
        put(f"  stopped: {brake}, among them {visible(brake.example)}")
    if state.flagged:
        put(f"  {len(state.flagged)} files came that tools here run when they are called; `paude review` lists them")
    for held in state.held:
        put(f"  held: {visible(held.path)} ({held.change}); `paude review` shows it")
    for end in state.locked:
        where = "here" if end == "laptop" else "in the pod"
        put(f"  git's index {where} is locked, and no git is at work: if none is open, remove .git/index.lock {where}")
    if state.halted:
        put(_CHOICES)


def _history(paths: Paths, record: Record) -> None:
    """Why the branch here stays behind the agent's, when it does."""
    from paude.plans.live import waiting
    from paude.sync.shown import visible

    found = waiting(paths, record.name)
    if found:
        put(f"  history: {visible(found)}")


_CHOICES = """\
Nothing travels until you choose:
  put back what is missing, then `paude sync resume`: goes on if both sides are whole again
  `paude sync reset`: merges both sides; what one lacks comes back from the other, what differs becomes a conflict
  `paude stop --keep-workspace`: ends the session; the volume stays as it is"""


@group.command(cls=Verb)
def flush(name: options.Name = None, output: printed.Facts = "text") -> None:
    """Bring both sides together now. Exit code 1 when something stands in the way."""
    output = printed.checked(output, printed.FACTS)

    async def work(paths: Paths, record: Record) -> SyncState:
        from paude.sync import session

        return await session.flush(paths, record.name)

    state = with_session(name, work)
    show(state, output)
    if not state.healthy:
        raise typer.Exit(1)


@group.command(cls=Verb)
def pause(name: options.Name = None) -> None:
    """Stop syncing until it is resumed; nothing is lost."""

    async def work(paths: Paths, record: Record) -> None:
        from paude.sync import session

        await session.pause(paths, record.name)
        say(f"the sync of {record.name} is paused; `paude sync resume` goes on")

    with_session(name, work)


@group.command(cls=Verb)
def resume(
    name: options.Name = None,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="Remove on both sides what was deleted on one, where the sync stopped for that."),
    ] = False,
) -> None:
    """Sync again, or connect at once where the way was down."""

    async def work(paths: Paths, record: Record) -> SyncState:
        from paude.plans.owner import kept_elsewhere
        from paude.sync import session

        before = await session.state(paths, record.name)
        if before.taken_over:
            raise kept_elsewhere(record.name, why=before.message)
        await session.resume(paths, record.name)
        found = await session.first_cycle(paths, record.name)
        return await session.allow_deletions(paths, record.name) if delete else found

    show(with_session(name, work), "text")


@group.command(cls=Verb)
def reset(name: options.Name = None, yes: options.Yes = False) -> None:
    """Forget what both sides last agreed on and merge them again.

    What one side has deleted comes back from the other, and files that differ become conflicts.
    """
    matter = UsageError("what was deleted on one side comes back", hint="agree with --yes")
    if not yes and not agreed(matter, "Merge again?"):
        raise typer.Exit(1)

    async def work(paths: Paths, record: Record) -> SyncState:
        from paude.sync import session

        await session.reset(paths, record.name)
        await session.resume(paths, record.name)
        return await session.first_cycle(paths, record.name)

    show(with_session(name, work), "text")


@group.command(cls=Verb)
def include(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="From the workspace's top; else what was included is listed.")
    ] = "",
    session: Session = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Also what looks secret.")] = False,
) -> None:
    """Let a path travel that stays at home.

    Such as one that git ignores; from now on, and in later sessions of the workspace too.
    """

    async def work(paths: Paths, record: Record) -> None:
        from paude.plans import include as plan
        from paude.sync.shown import visible

        if not path:
            for one in await plan.included(paths, record):
                put(visible(one))
            return
        found = await plan.look(paths, record, inside(record, path))
        if not found.more and found.path in await plan.included(paths, record):
            say(f"{visible(found.path)} is included already")
            return
        if found.secret and not yes:
            _agree(visible(found.path))
        await plan.include(paths, record, found)
        say(f"{visible(found.path)} travels now: {found.size.files} more files, {found.size.bytes} bytes")
        if found.stays:
            say(f"stays here, because it looks secret: {', '.join(map(visible, found.stays[:10]))}")

    with_session(session, work)


def _agree(path: str) -> None:
    matter = UsageError(f"{path} looks secret, and the agent could read it", hint="agree with --yes")
    if not agreed(matter, "Send it?"):
        raise typer.Exit(1)


@group.command(cls=Verb)
def conflicts(name: options.Name = None, output: printed.Listing = "text") -> None:
    """List what both sides changed. Neither version was overwritten. Exit code 9 when there is any.

    `paude sync diff` shows them, `paude sync resolve` ends one.
    """
    output = printed.checked(output)

    async def work(paths: Paths, record: Record) -> SyncState:
        from paude.sync import session

        return await session.state(paths, record.name)

    from paude.sync.shown import visible

    found = with_session(name, work).conflicts
    if not printed.document(output, {"schema": 1, "conflicts": [asdict(one) for one in found]}):
        for one in found:
            more = f"  (here: {one.laptop or 'changed'}; in the pod: {one.pod or 'changed'})"
            put(visible(one.path) + ("" if output == "name" else more))
    if found:
        say("look with `paude sync diff PATH`, end one with `paude sync resolve PATH --keep local|agent|both`")
        raise typer.Exit(WorkWouldBeLost.exit_code)


@group.command(cls=Verb)
def resolve(
    path: PathHere,
    keep: Annotated[str, typer.Option(metavar="SIDE", help="local, agent or both: the other version is kept aside.")],
    session: Session = None,
) -> None:
    """End a conflict: choose whose version counts.

    For example: paude sync resolve README.md --keep agent
    """

    async def work(paths: Paths, record: Record) -> None:
        from paude.plans.conflicts import resolve as end
        from paude.sync.shown import visible

        done = await end(paths, record, inside(record, path), keep)
        say(f"{visible(done.path)} is in step")
        for place in done.kept:
            say(f"the other version: {visible(place)}")

    with_session(session, work)


@group.command(cls=Verb)
def diff(
    path: Annotated[str, typer.Argument(metavar="PATH", help="One conflict; else all.")] = "", session: Session = None
) -> None:
    """Show conflicts as differences, from here to the pod. One, or all."""

    async def work(paths: Paths, record: Record) -> None:
        from contextlib import aclosing

        from paude.plans.conflicts import differences
        from paude.sync.shown import visible

        async with aclosing(differences(paths, record, inside(record, path))) as found:
            async for one, text in found:
                put(f"{visible(one.path)}:\n{text}")

    with_session(session, work)


@group.command(cls=Verb)
def verify(name: options.Name = None, output: printed.Listing = "text") -> None:
    """Compare every file on both sides by its hash. Exit code 1 when a difference is not explained."""
    output = printed.checked(output)

    async def work(paths: Paths, record: Record) -> Any:
        from paude.plans.compare import compare

        return await compare(paths, record)

    from paude.sync.shown import visible

    found = with_session(name, work)
    facts = {"schema": 1, "compared": found.compared, "differences": [asdict(one) for one in found.differences]}
    if output == "name":
        for one in found.differences:
            put(visible(one.path))
    elif not printed.document(output, facts):
        for one in found.differences:
            put(f"{visible(one.path)}: {one.what}{f' ({one.why})' if one.why else ''}")
        put(f"{found.compared} entries compared, {len(found.unexplained)} differ without a reason")
    if found.unexplained:
        raise typer.Exit(PaudeError.exit_code)
