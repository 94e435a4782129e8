"""How one session stands, whatever kind of place it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from paude.backends.base import PODMAN
from paude.gate.client import Gate, GateStatus
from paude.gate.connect import gate_of
from paude.sessions.records import Record
from paude.sessions.states import Seen
from paude.settings import Paths


@dataclass(frozen=True)
class Look:
    """What the place says of the session, what its gate says (None when it does not run), and what to be wary of."""

    seen: Seen
    gate: GateStatus | None
    warnings: Sequence[str] = ()


async def look(record: Record, paths: Paths) -> Look:
    """Ask the place, and the gate if it runs. Raises PaudeError."""
    return await (_on_podman if record.backend == PODMAN else _on_kubernetes)(record, paths)


async def glance(record: Record, paths: Paths) -> Seen:
    """Ask the place alone: cheap, and it knows what a parked session's container said last. Raises PaudeError."""
    if record.backend == PODMAN:
        return (await _on_podman(record, paths)).seen  # its gate is on this machine
    from paude.backends.kubernetes.pods import pod_name
    from paude.backends.kubernetes.recorded import connected
    from paude.sessions.states import derive

    async with connected(record, paths) as cluster:
        return derive(await cluster.get("Pod", pod_name(record.name)))


async def _on_kubernetes(record: Record, paths: Paths) -> Look:
    from paude.backends.kubernetes import pods
    from paude.backends.kubernetes.recorded import connected
    from paude.backends.kubernetes.wall import warnings_of
    from paude.sessions.states import derive

    async with connected(record, paths) as cluster:
        warnings = await warnings_of(cluster, record)
        pod = await cluster.get("Pod", pods.pod_name(record.name))
        running = await pods.running(cluster, record)
        if running is None:
            return Look(derive(pod), None, warnings)
        async with gate_of(running, record.name, paths) as connection:
            gate = await Gate(connection).status()
        return Look(derive(pod, asdict(gate)), gate, warnings)


async def _on_podman(record: Record, paths: Paths) -> Look:
    from paude.backends.podman import engine, listing, pods

    podman = await engine.connect()
    containers = await listing.containers_of(podman, record.uid)
    running = await pods.running(podman, record)
    if running is None:
        return Look(listing.seen(record.name, containers), None)
    async with gate_of(running, record.name, paths) as connection:
        gate = await Gate(connection).status()
    return Look(listing.seen(record.name, containers, asdict(gate)), gate)


async def log(
    record: Record, paths: Paths, container: str, tell: Callable[[str], None], *, follow: bool, previous: bool
) -> None:
    """Give `tell` the lines of one container's log. Raises NotFound when there is no such container."""
    if record.backend == PODMAN:
        from paude.backends.podman import engine
        from paude.backends.podman.containers import name_of

        await (await engine.connect()).logs(name_of(record.name, container), tell, follow=follow)
        return
    from paude.backends.kubernetes.pods import log_lines, pod_name
    from paude.backends.kubernetes.recorded import connected

    async with connected(record, paths) as cluster:
        async for line in log_lines(cluster, pod_name(record.name), container, follow=follow, previous=previous):
            tell(line)
