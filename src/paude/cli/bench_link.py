"""`paude bench tunnel` and `paude bench attach`: paude on a bad network, in a session of its own behind a relay."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb
from paude.errors import UsageError

if TYPE_CHECKING:
    from paude.backends.kubernetes.cluster import Cluster
    from paude.bench.attach import AttachReport
    from paude.bench.attach import Plan as AttachPlan
    from paude.bench.relay import Relay
    from paude.bench.tunnel import TunnelReport
    from paude.plans.request import Wishes
    from paude.sessions.records import Record
    from paude.settings import Paths


def register(group: typer.Typer) -> None:
    """Add the verbs."""
    group.command(cls=Verb)(options.with_cluster(tunnel))
    group.command(cls=Verb)(options.with_cluster(attach))


def tunnel(
    mib: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="MiB of each transfer.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How often each kind is measured.")] = 5,
    exact: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="MiB that have to come back byte-exact.")] = 1024,
    full: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds of a full uplink.")] = 60,
    *,
    cluster: options.OfCluster,
    timeout: options.Timeout = 300,
    output: printed.Facts = "text",
) -> None:
    """Measure the tunnel, also on a link that fails. Beside `kubectl port-forward`, where that is installed."""
    output = printed.checked(output, printed.FACTS)
    wishes = _wishes(cluster)

    async def measure() -> TunnelReport:
        async with _session(wishes, timeout) as there:
            return await _measure_tunnel(there, mib, rounds, exact, full)

    report = in_loop(measure)
    if not printed.document(output, report.to_json()):
        put(report.to_text())


def attach(
    cuts: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Cuts of one second.")] = 50,
    outages: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Longer outages.")] = 10,
    outage: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Seconds of each.")] = 60,
    long_outage: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds of one more; 1800 for the full run.")
    ] = 0,
    sleeps: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Sleeps of the laptop, black holes.")] = 10,
    full: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds of a full uplink.")] = 60,
    bulk: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="MiB of the transfer beside the terminal.")] = 1024,
    *,
    cluster: options.OfCluster,
    timeout: options.Timeout = 300,
    output: printed.Facts = "text",
) -> None:
    """Measure how soon one can type again. The link is cut, stalled, throttled, forgotten. About 20 minutes."""
    from paude.bench.attach import Plan

    output = printed.checked(output, printed.FACTS)
    wishes = _wishes(cluster)
    plan = Plan(
        cuts=cuts,
        outages=outages,
        outage_s=outage,
        long_outage_s=long_outage,
        sleeps=sleeps,
        black_holes=sleeps,
        full_uplink_s=full,
        bulk_mib=bulk,
    )

    async def measure() -> AttachReport:
        async with _session(wishes, timeout) as there:
            return await _measure_attach(there, plan)

    report = in_loop(measure)
    if not printed.document(output, report.to_json()):
        put(report.to_text())


def _wishes(cluster: options.OfCluster) -> Wishes:
    from paude.plans.places import place_of
    from paude.plans.request import Wishes, backend_of
    from paude.settings import Paths, read

    settled = read(Paths.from_environment(), None, {**cluster, "agent": "shell"})
    if not place_of(backend_of(settled.values)).remote:
        raise UsageError(
            "sessions run on this machine's podman: there is no network between to be measured",
            hint="name a cluster, for example with --context",
        )
    return Wishes(settled=settled)


@dataclass(frozen=True)
class _There:
    """A session that runs, the relay on its way, and a connection to the cluster that goes past the relay."""

    paths: Paths
    record: Record
    relay: Relay
    direct: Cluster
    through: Cluster


@asynccontextmanager
async def _session(wishes: Wishes, limit_s: float) -> AsyncIterator[_There]:
    """A session of its own behind a relay; nothing of it is left behind."""
    from paude.backends.kubernetes import cluster as clusters
    from paude.backends.kubernetes import kubeconfig
    from paude.backends.kubernetes.recorded import connected
    from paude.bench.relay import relay, through
    from paude.bench.session import started
    from paude.cli import display
    from paude.settings import Paths

    paths, quiet = Paths.from_environment(), display.opener("quiet")
    chosen = wishes.settings
    target = kubeconfig.chosen(chosen)
    with TemporaryDirectory(prefix="paude-bench-") as directory:
        async with clusters.connected(target, paths) as direct, relay(target.address) as way:
            config, workspace = Path(directory) / "kubeconfig", Path(directory) / "work"
            config.touch(mode=0o600)
            config.write_text(json.dumps(through(way, target.as_kubeconfig())))
            workspace.mkdir()
            there = replace(chosen, kubeconfig=str(config), context="", namespace=target.namespace)
            behind = replace(wishes, workspace=workspace, settled=replace(wishes.settled, values=there))
            async with started(behind, paths, quiet, limit_s=limit_s) as session:
                try:
                    async with connected(session.record, paths) as slow:
                        yield _There(paths, session.record, way, direct, slow)
                finally:
                    way.mend()
                    way.flow()


async def _measure_tunnel(there: _There, mib: int, rounds: int, exact: int, full: float) -> TunnelReport:
    import shutil

    from paude.backends.kubernetes.tunnels import ByProgram
    from paude.bench.tunnel import bench_tunnel, serving
    from paude.tunnel.base import Dialer
    from paude.tunnel.portforward import PodPortForward

    pod = there.record.pod
    ours = PodPortForward(there.direct.access, there.direct.namespace, pod)
    kinds: dict[str, Dialer] = {"paude": ours}
    kinds |= {
        f"{program} port-forward": ByProgram(program, there.direct.target, pod)
        for program in ("kubectl", "oc")
        if shutil.which(program)
    }
    slow = PodPortForward(there.through.access, there.through.namespace, pod)
    async with serving(there.paths, there.record.name):
        return await bench_tunnel(
            kinds, slow, there.relay, mib=mib, rounds=rounds, exact_mib=exact, throttled_s=full, tell=say
        )


async def _measure_attach(there: _There, plan: AttachPlan) -> AttachReport:
    from paude.backends.kubernetes.tunnels import pinned_to
    from paude.bench.attach import attached

    record = there.record
    way = pinned_to(there.through, record.pod)
    workspace = Path(record.workspace)
    async with attached(there.paths, record.name, workspace, way, there.relay, say) as bench:
        return await bench.run(plan)
