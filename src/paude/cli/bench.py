"""`paude bench`: what paude itself takes, measured on the user's own cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb

if TYPE_CHECKING:
    from paude.bench.report import Report
    from paude.bench.sync import SyncReport
    from paude.plans.request import Wishes

group = typer.Typer(help="Measure paude itself.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    from paude.cli import bench_link

    bench_link.register(group)
    app.add_typer(group, name="bench")


@group.callback()
def bench() -> None:
    """Measure paude itself."""


@group.command(cls=Verb)
@options.with_cluster
def start(
    workspace: Annotated[
        Path, typer.Argument(parser=options.path, metavar="DIRECTORY", help="The directory to start sessions for.")
    ] = Path("."),
    runs: Annotated[
        int, typer.Option("--runs", "-N", min=1, metavar="NUMBER", help="How many starts of each kind.")
    ] = 5,
    baseline: Annotated[bool, typer.Option(help="Run the same plan step by step too.")] = True,
    agent: Annotated[str, typer.Option(metavar="NAME", help="claude, codex or shell.")] = "shell",
    *,
    cluster: options.OfCluster,
    timeout: options.Timeout = 300,
    output: printed.Facts = "text",
) -> None:
    """Measure starts: each step, and the steps one by one.

    Sessions are started and stopped; told are median and p95 of each step, the critical path, the whole, and `attach`.
    Each run is a new session with a new volume; images are there after the first. Nothing is left behind.
    """
    from paude.plans.request import Wishes
    from paude.settings import Paths, read

    output = printed.checked(output, printed.FACTS)
    wishes = Wishes(workspace, read(Paths.from_environment(), None, {**cluster, "agent": agent}))
    report = in_loop(lambda: _measure(wishes, runs, baseline, timeout))
    if not printed.document(output, report.to_json()):
        put(report.to_text())


@group.command(cls=Verb)
@options.with_cluster
def sync(
    files: Annotated[int, typer.Option(min=100, metavar="NUMBER", help="How many files the workspace has.")] = 10_000,
    edits: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many edits of each kind.")] = 30,
    *,
    cluster: options.OfCluster,
    timeout: options.Timeout = 300,
    output: printed.Facts = "text",
) -> None:
    """Measure edits both ways, bursts, and the first content. In a session and a workspace of its own."""
    from paude.plans.request import Wishes
    from paude.settings import Paths, read

    output = printed.checked(output, printed.FACTS)
    wishes = Wishes(settled=read(Paths.from_environment(), None, {**cluster, "agent": "shell"}))
    with TemporaryDirectory(prefix="paude-bench-") as directory:
        there = replace(wishes, workspace=Path(directory))
        report = in_loop(lambda: _measure_sync(there, files, edits, timeout))
    if not printed.document(output, report.to_json()):
        put(report.to_text())


async def _measure_sync(wishes: Wishes, files: int, edits: int, limit_s: float) -> SyncReport:
    from functools import partial

    from paude.bench.peers import bench_peers
    from paude.bench.session import started
    from paude.bench.sync import SyncReport, bench_edits, far_end, grow
    from paude.cli import display
    from paude.engine.timing import measure
    from paude.settings import Paths

    paths, quiet = Paths.from_environment(), display.opener("quiet")
    size = grow(wishes.workspace, files)
    async with started(wishes, paths, quiet, limit_s=limit_s) as session:
        steps = {step.step: step for step in measure(session.plan, session.events).steps}
        first, last = steps["seed"], steps["first sync"]
        name, workspace = session.record.name, Path(session.record.workspace)
        async with far_end(paths, name) as far:
            with TemporaryDirectory(prefix="paude-peers-") as work:
                arrives = partial(far.ask, "expect")
                peers = await bench_peers(paths, name, workspace, Path(work), arrives, say)
            found = await bench_edits(far, workspace, files, edits, say)
    in_step = last.start_s + last.seconds - first.start_s
    return SyncReport(files, size, *found, in_step, first.seconds, peers)


async def _measure(wishes: Wishes, runs: int, baseline: bool, limit_s: float) -> Report:
    from paude.bench.opening import attach_each
    from paude.bench.scenarios import Conditions, Run, bench_start
    from paude.bench.session import started
    from paude.cli import display
    from paude.settings import Paths
    from paude.sync.selection import check_workspace

    paths, quiet = Paths.from_environment(), display.opener("quiet")
    directory = check_workspace(wishes.workspace)

    async def run_once(conditions: Conditions) -> Run:
        async with started(wishes, paths, quiet, limit_s=limit_s, sequential=conditions.sequential) as session:
            attach_s = [] if conditions.sequential else await attach_each(session.record.name, paths)
            return Run(session.plan, session.events, attach_s)

    return await bench_start(run_once, runs, baseline=baseline, title=f"start of {directory.name}", tell=say)
