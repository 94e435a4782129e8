"""`paude doctor`: what a session needs, looked at one by one. Changes nothing, here or in the cluster.

A check is one line: what was looked at, how it stands, and what to do about it. Those of one place run beside each
other; a place that cannot be reached is one check that failed, and what depends on it is left out.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio

from paude import __version__, process
from paude.errors import PaudeError
from paude.plans.places import Place, place_of
from paude.plans.request import backend_of
from paude.sessions import records
from paude.sessions.records import Unreadable
from paude.settings import Paths, Settings, Settled
from paude.settings.quantity import amount

if TYPE_CHECKING:
    from paude.backends.kubernetes.cluster import Cluster
    from paude.backends.kubernetes.surroundings import Room, Storage
    from paude.tunnel.passage import Passage

PATIENCE_S = 15.0
Result = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it stands, what was seen, and what to do when it does not stand well."""

    name: str
    result: Result
    seen: str
    remedy: str = ""


def ok(name: str, seen: str) -> Check:
    """It stands well."""
    return Check(name, "ok", seen)


def failed(name: str, error: PaudeError | TimeoutError) -> Check:
    """It does not, for the reason of the error."""
    if isinstance(error, PaudeError):
        return Check(name, "failed", str(error), error.hint)
    return Check(name, "failed", f"no answer within {PATIENCE_S:.0f} s", "try again, and look at the network")


async def examine(settled: Settled, paths: Paths, workspace: Path) -> list[Check]:
    """Everything that matters for a start in `workspace`, in the order of the way that a start takes."""
    place = place_of(backend_of(settled.values))
    checks = [*_settings(settled), *_records(paths), *await _tools(place), *await _credentials(settled, workspace)]
    return [*checks, *await place.examine(settled.values, paths)]


def _settings(settled: Settled) -> Iterable[Check]:
    yield Check("paude", "ok", f"version {__version__}")
    said = sum(1 for one in settled.found if one.origin)
    if not settled.warnings:
        yield ok("settings", f"{said} set")
    for warning in settled.warnings:
        yield Check("settings", "warning", warning, "see docs/configuration.md, and `paude config show`")


def _records(paths: Paths) -> Iterable[Check]:
    found = records.load_all(paths)
    bad = [one for one in found if isinstance(one, Unreadable)]
    if not bad:
        yield ok("records", f"{len(found)} sessions known on this machine, in {paths.state}")
    for one in bad:
        yield failed(f"record of {one.name}", one.error())


async def _tools(place: Place) -> list[Check]:
    wanted = {"git": ("git", "--version"), "ssh": ("ssh", "-V"), "podman": ("podman", "--version")}
    checks = []
    for name, argv in wanted.items():
        if name == "podman" and not place.remote:
            continue  # it has a check of its own
        try:
            done = await process.run(argv, check=False)
            checks.append(ok(name, (done.text.strip() or done.stderr.strip()).partition("\n")[0]))
        except PaudeError as error:
            builds = Check(name, "warning", str(error), "it builds images; those in the registry already do without")
            checks.append(builds if name == "podman" else failed(name, error))
    return checks


async def _credentials(settled: Settled, workspace: Path) -> list[Check]:
    from paude.credentials import found as credentials

    try:
        found = await credentials.discover(os.environ, Path.home(), workspace)
    except PaudeError as error:
        return [failed("credentials", error)]
    lines = [ok("credentials", line) for line in found.summary()]
    if settled.values.agent != "shell" and found.api_key is None and found.vertex is None:
        remedy = "log in with `claude`, or set ANTHROPIC_API_KEY or CLAUDE_CODE_USE_VERTEX=1"
        lines.append(Check("credentials", "warning", "none for the coding agent", remedy))
    if found.git_identity is None:
        remedy = "git config --global user.name and user.email"
        lines.append(Check("git identity", "warning", "the agent could not commit under your name", remedy))
    return lines


async def of_podman() -> list[Check]:
    """This machine's podman."""
    from paude.backends.podman import engine

    try:
        with anyio.fail_after(PATIENCE_S):
            return [ok("podman", f"version {(await engine.usable()).version}")]
    except (PaudeError, TimeoutError) as error:
        return [failed("podman", error)]


async def of_cluster(settings: Settings, paths: Paths) -> list[Check]:
    """The cluster, the namespace, and what a session needs there."""
    from paude.backends.kubernetes import cluster as clusters
    from paude.backends.kubernetes import kubeconfig, rights

    try:
        target = kubeconfig.chosen(settings)
    except PaudeError as error:
        return [failed("kubeconfig", error)]
    checks = [ok("kubeconfig", f"{target.server}, namespace {target.namespace}, as {target.user}")]
    try:
        with anyio.fail_after(PATIENCE_S):
            async with clusters.connected(target, paths) as cluster:
                checks.append(ok("cluster", f"it answers, and takes you for {await rights.user(cluster)}"))
                checks += await _in_namespace(cluster, settings, paths)
    except (PaudeError, TimeoutError) as error:
        checks.append(failed("cluster", error))
    return checks


async def _in_namespace(cluster: Cluster, settings: Settings, paths: Paths) -> list[Check]:
    looks: dict[str, Callable[[], Awaitable[list[Check]]]] = {
        "namespace": lambda: _namespace(cluster),
        "rights": lambda: _rights(cluster, settings),
        "tunnel": lambda: _tunnel(cluster),
        "network policies": lambda: policies(cluster),
        "storage": lambda: _storage(cluster, settings),
        "quota": lambda: quota(cluster, settings),
        "registry": lambda: registry_of_cluster(cluster, settings.registry, settings.registry_ca, paths),
    }
    results: dict[str, list[Check]] = {}

    async def run(name: str, look: Callable[[], Awaitable[list[Check]]]) -> None:
        try:
            results[name] = await look()
        except PaudeError as error:
            results[name] = [failed(name, error)]

    async with anyio.create_task_group() as tasks:
        for name, look in looks.items():
            tasks.start_soon(run, name, look)
    return [check for name in looks for check in results[name]]


async def _namespace(cluster: Cluster) -> list[Check]:
    from paude.backends.kubernetes import namespaces, surroundings

    try:
        found = await namespaces.ensure(cluster, create=False)
    except PaudeError as error:
        return [failed("namespace", error)]
    others = await surroundings.others_who_may_read_secrets(cluster)
    kind = "; the cluster assigns users" if found.ids_assigned else ""
    return [ok("namespace", f"{found.name}{kind}"), *shared(found.name, others)]


def shared(namespace: str, others: tuple[str, ...] | None) -> list[Check]:
    """Whoever may edit in a namespace can read the Secrets of every session in it."""
    if others is None or len(others) <= 1:
        return []
    seen = f"{', '.join(others[:5])} have a role in {namespace}: who may edit there can read your sessions' Secrets"
    return [Check("namespace", "warning", seen, "use one of your own: paude setup --namespace paude-YOU")]


async def _rights(cluster: Cluster, settings: Settings) -> list[Check]:
    from paude.backends.kubernetes import rights

    rules = await rights.needed(cluster, own_registry=not settings.registry)
    lacking = await rights.missing(cluster, rules)
    if not lacking:
        return [ok("rights", "all that sessions need")]
    words = ", ".join(f"{'/'.join(rule.verbs)} {rule.resource}" for rule in lacking)
    return [Check("rights", "failed", f"you may not {words}", "`paude setup` prints the Role to ask for")]


async def _tunnel(cluster: Cluster) -> list[Check]:
    from paude.backends.kubernetes.tunnels import WEBSOCKET
    from paude.tunnel.passage import passage

    if cluster.tunnel != WEBSOCKET:
        return [ok("tunnel", f"by `{cluster.tunnel} port-forward`")]
    return [tunnel_check(await passage(await cluster.access(), cluster.namespace))]


def tunnel_check(found: Passage) -> Check:
    """Whether what carries terminal and files gets through to the API server."""
    from paude.tunnel.passage import Verdict

    remedy = "PAUDE_TUNNEL=kubectl (or oc) takes that program's port-forward instead"
    if found.verdict is Verdict.CLOSED:
        return Check("tunnel", "failed", f"WebSockets do not get through: {found.why}", remedy)
    if found.verdict is Verdict.UNKNOWN:
        return Check("tunnel", "warning", f"whether WebSockets get through is not known: {found.why}", remedy)
    return ok("tunnel", "WebSockets get through")


async def policies(cluster: Cluster) -> list[Check]:
    """Whether something is seen that enforces network policies."""
    from paude.backends.kubernetes import surroundings

    plugin = await surroundings.policy_plugin(cluster)
    if plugin:
        return [ok("network policies", f"{plugin} enforces them; each start proves it")]
    seen = "no plug-in that enforces them is seen; each start finds out, and refuses where none does"
    return [Check("network policies", "warning", seen, "ask which network plug-in the cluster has")]


async def _storage(cluster: Cluster, settings: Settings) -> list[Check]:
    from paude.backends.kubernetes import surroundings

    if settings.storage.volume == "emptydir":
        return [ok("storage", "an emptydir in the pod")]
    return [storage_check(await surroundings.storage(cluster), settings.storage.storage_class)]


def storage_check(found: Storage, wanted: str) -> Check:
    """Whether a claim will be served by the class that is set, or by a default."""
    if not found.seen:
        return ok("storage", f"class {wanted or 'by default'}; which there are may not be seen")
    if wanted and wanted not in found.names:
        known = ", ".join(found.names) or "none"
        return Check("storage", "failed", f"there is no class {wanted}", f"classes: {known}; set storage.class")
    if not wanted and not found.default:
        known = ", ".join(found.names) or "none"
        return Check("storage", "failed", "the cluster has no default class", f"classes: {known}; set storage.class")
    return ok("storage", f"class {wanted or found.default}")


async def quota(cluster: Cluster, settings: Settings) -> list[Check]:
    """Whether a session fits into the namespace's quotas."""
    from paude.backends.kubernetes import surroundings

    return quota_checks(await surroundings.quotas(cluster), settings)


def quota_checks(rooms: Iterable[Room], settings: Settings) -> list[Check]:
    """Whether a session fits into what the quotas leave; what does not fit, with the most that would."""
    wants = settings.resources
    asked = {
        "requests.cpu": (wants.requests.cpu, "--cpu-request"),
        "cpu": (wants.requests.cpu, "--cpu-request"),
        "limits.cpu": (wants.limits.cpu, "--cpu"),
        "requests.memory": (wants.requests.memory, "--memory-request"),
        "memory": (wants.requests.memory, "--memory-request"),
        "limits.memory": (wants.limits.memory, "--memory"),
        "requests.storage": (settings.storage.size, "--storage"),
    }
    checks = []
    for room in rooms:
        wanted, flag = asked[room.resource]
        left = amount(room.hard) - amount(room.used)
        if amount(wanted) > left:
            room_left = f"{_written(left, room.resource)} of {room.resource}"
            seen = f"{room.quota} leaves {room_left}; a session asks for {wanted}"
            checks.append(Check("quota", "failed", seen, f"free some, or ask for less: {flag}"))
    return checks or [ok("quota", "there is room, or no quota that can be seen")]


def _written(value: float, resource: str) -> str:
    if resource.endswith("cpu"):
        return f"{max(0.0, value) * 1000:.0f}m"
    return f"{max(0.0, value) / 2**20:.0f}Mi"


async def registry_of_cluster(cluster: Cluster, named: str, ca_file: str, paths: Paths) -> list[Check]:
    """Whether the registry, the one that is `named` or the cluster's own, answers and takes the login."""
    from paude.backends.kubernetes import registry
    from paude.images import ensure
    from paude.images.reference import RegistryTarget
    from paude.images.registry import present

    wanted = RegistryTarget(named, ca_file=Path(ca_file) if ca_file else None) if named else None
    own = wanted is None and await cluster.exists("image.openshift.io/v1")
    if own and await cluster.get("ImageStream", registry.PROBE) is None:
        return [ok("registry", "the cluster's own; its public name is asked for by the first start")]
    try:
        async with registry.target(cluster, wanted, paths) as found:
            if found.way is not None:
                return [
                    ok("registry", f"{found.host_and_path}, without a public name: a start that pushes makes a relay")
                ]
            target = await ensure.with_login(found)
            await present(target.reference("paude-gate", "doctor"), target)
    except PaudeError as error:
        return [failed("registry", error)]
    who = f", as {target.login.user}" if target.login else ", without a login"
    return [ok("registry", f"{target.host_and_path} answers{who}")]
