"""`paude attach`: the agent's terminal, which reconnects by itself; from another laptop too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, say
from paude.cli.ask import agreed
from paude.cli.terminal import open_terminal
from paude.cli.verb import Verb
from paude.errors import NotFound, PaudeError, UsageError

if TYPE_CHECKING:
    from paude.backends.kubernetes.kubeconfig import Target
    from paude.sessions.records import Record
    from paude.settings import Paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(attach)


@dataclass(frozen=True)
class _Where:
    """In which cluster a session is looked for that this machine does not know."""

    context: str | None
    namespace: str | None
    kubeconfig: Path | None

    def target(self, paths: Paths) -> Target:
        """The cluster. Raises SettingsError."""
        from paude.backends.kubernetes import kubeconfig
        from paude.settings import read

        given = options.of_cluster(self.context, self.namespace, self.kubeconfig, None, None, None)
        return kubeconfig.chosen(read(paths, None, given).values)


def attach(
    name: options.Name = None,
    clipboard: Annotated[
        bool | None,
        typer.Option(help="Let the agent's programs write to your clipboard; PAUDE_CLIPBOARD=1 for always."),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Keep this machine's files in step from now on, instead of another's.")
    ] = False,
    workspace: Annotated[
        Path,
        typer.Option(metavar="DIRECTORY", parser=options.path, help="With --take-over: your copy of its directory."),
    ] = Path("."),
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Only fetch the keys, or take over.")] = False,
    context: options.Context = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    timeout: options.Timeout = 300,
    progress: options.Progress = "auto",
    yes: options.Yes = False,
) -> None:
    """Open the terminal of a session; it reconnects by itself. ~. at the start of a line leaves it, ~? lists the keys.

    The agent goes on when you leave. While the start is under way, its steps are shown first.

    A session that was started on another machine is found by its name in the cluster, as `paude sessions` lists it.
    Its files stay in step with that one until --take-over, in your copy of its directory, makes it this one.
    """
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = _known(name, paths, _Where(context, namespace, kubeconfig))
    if not record.committed:
        in_loop(lambda: _watch_start(record.name, paths))
        record = _known(record.name, paths, None)
    if not record.committed:
        raise NotFound(f"{record.name} is not ready: its start is under way, or was killed", hint="`paude start` again")
    runs = not take_over or _take_over(record, workspace, paths, timeout, progress, yes)
    if runs and not detach:
        open_terminal(record.name, clipboard)


def _known(name: str | None, paths: Paths, where: _Where | None) -> Record:
    """The session; one of another machine as the cluster has it now. Raises NotFound."""
    from paude.cli.choose import record_of

    try:
        record = record_of(name, paths)
    except NotFound as unknown:
        if name is None or where is None:
            raise
        return _fetched(name, paths, where, unknown)
    if not record.guest:
        return record
    from paude.backends.kubernetes import kubeconfig

    return _fetch(record.name, kubeconfig.pinned(record), paths)


def _fetched(name: str, paths: Paths, where: _Where, unknown: NotFound) -> Record:
    try:
        target = where.target(paths)
    except PaudeError:
        if where == _Where(None, None, None):
            raise unknown from None
        raise
    return _fetch(name, target, paths)


def _fetch(name: str, target: Target, paths: Paths) -> Record:
    from paude.plans.handover import fetch
    from paude.plans.request import owner as me

    record, whose = in_loop(lambda: fetch(name, target, paths))
    if whose != me():
        say(f"{name} was started by {whose}")
    return record


def _take_over(record: Record, workspace: Path, paths: Paths, timeout: float, progress: str, yes: bool) -> bool:
    """Whether there is a terminal to open then: a session that is stopped has none."""
    from paude.cli import display
    from paude.plans.handover import directory_for
    from paude.plans.handover import take_over as perform

    directory = directory_for(record, workspace, paths)
    if record.guest and not yes:
        asked = f"{directory} is kept in step with {record.name} from now on; files that differ become conflicts"
        if not agreed(UsageError(asked, hint="agree with --yes"), "Go on with that?"):
            raise UsageError("not agreed to", hint="--workspace names another directory")
    in_step = in_loop(lambda: perform(record, directory, paths, display.opener(progress), yes=yes, limit_s=timeout))
    if in_step:
        say(f"{directory} is in step with {record.name}; the laptop that had its sync before has stopped")
    else:
        say(f"{record.name} is stopped: `paude start {directory}` brings it back, in step with that directory")
    return bool(in_step)


async def _watch_start(name: str, paths: Paths) -> None:
    """Show how far the start is, until it has ended one way or the other."""
    from paude.sessions import progress

    async for line in progress.follow(paths, name):
        say(f"{name}: {line}")
