"""`paude start`: from words to a request, the plan run, and then the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, passed_on, put, say
from paude.cli.ask import agreed
from paude.cli.verb import Verb
from paude.errors import QuotaExceeded, StepFailed, UsageError

if TYPE_CHECKING:
    from paude.images.project import Project
    from paude.plans.request import Gift, Wishes
    from paude.settings import Settled

_MOUNTED = (
    "the agent works on the directory itself (--mount): nothing is held back, in either direction. It reads .env and"
    " keys that lie there, and writes hooks, .git and editor settings that your tools obey"
)
_NO_WALL = "no wall: whatever runs in this session may send anything anywhere (--allow-network)"


# The headings of the help.
_PLACE, _REACH, _GIVEN = options.PLACE, "What it may reach", options.GIVEN
_SIZE, _TIME = options.SIZE, "How long it runs"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=_Start)(start)


class _Start(Verb):
    passes_on = "[-- WORDS FOR THE AGENT]"


def start(
    workspace: Annotated[
        Path, typer.Argument(parser=options.path, metavar="DIRECTORY", help="The directory to work on.")
    ] = Path("."),
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The session's name; else made from the directory's.")
    ] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="claude, codex or shell; else claude.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not attach when it runs.")] = False,
    timeout: options.Timeout = 600,
    progress: options.Progress = "auto",
    yes: options.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    emit_yaml: Annotated[
        bool, typer.Option("--emit-yaml", help="Print the session as manifests, without its secrets, and stop.")
    ] = False,
    timings: Annotated[
        bool, typer.Option("--timings", help="Print what took how long, and what waited for it.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="podman, kubernetes or openshift; else podman where it is.", rich_help_panel=_PLACE
        ),
    ] = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    create_namespace: Annotated[
        bool,
        typer.Option("--create-namespace", help="Make the namespace when it is missing.", rich_help_panel=_PLACE),
    ] = False,
    registry: options.Registry = None,
    registry_ca: options.RegistryCA = None,
    pull_secret: Annotated[
        str | None, typer.Option(metavar="NAME", help="An existing Secret to pull images with.", rich_help_panel=_PLACE)
    ] = None,
    runtime_class: Annotated[
        str | None, typer.Option(metavar="NAME", help="A RuntimeClass for the pod.", rich_help_panel=_PLACE)
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host that the agent may reach; may be repeated.", rich_help_panel=_REACH),
    ] = None,
    allow_registries: Annotated[
        bool | None,
        typer.Option(
            "--allow-registries",
            help="Also the package registries that this machine's clients are set to.",
            rich_help_panel=_REACH,
        ),
    ] = None,
    private_allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST=NETWORK",
            help="A host at private addresses: HOST=NETWORK; may be repeated.",
            rich_help_panel=_REACH,
        ),
    ] = None,
    parent_proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The company's proxy, to which the session's proxy goes: http://HOST:PORT.",
            rich_help_panel=_REACH,
        ),
    ] = None,
    egress_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=options.path,
            help="The company's CA certificates (PEM), which the agent's programs then trust.",
            rich_help_panel=_REACH,
        ),
    ] = None,
    egress_firewall: Annotated[
        bool | None,
        typer.Option(
            "--egress-firewall",
            help="Also an EgressFirewall for all pods of the namespace.",
            rich_help_panel=_REACH,
        ),
    ] = None,
    allow_network: Annotated[
        bool,
        typer.Option("--allow-network", help="No wall at all: the agent may reach anything.", rich_help_panel=_REACH),
    ] = False,
    only: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            parser=options.path,
            help="Sync this path of the workspace alone; may be repeated. `.` is all.",
            rich_help_panel=_GIVEN,
        ),
    ] = None,
    mount: Annotated[
        bool,
        typer.Option(
            "--mount",
            help="On Podman: the directory itself instead of a copy in step; see docs/backends.md.",
            rich_help_panel=_GIVEN,
        ),
    ] = False,
    mcp_secrets: options.McpSecrets = False,
    volume: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="claim, or emptydir: it dies with the pod and needs no storage class.",
            rich_help_panel=_SIZE,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="The size of the workspace's volume; else 10Gi.", rich_help_panel=_SIZE),
    ] = None,
    storage_class: options.StorageClass = None,
    cpu: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="The agent's limit of processors; else 4.", rich_help_panel=_SIZE),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The agent's limit of memory; else 8Gi.", rich_help_panel=_SIZE)
    ] = None,
    cpu_request: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Processors that a node must have free; else 1.", rich_help_panel=_SIZE),
    ] = None,
    memory_request: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory that a node must have free; else 4Gi.", rich_help_panel=_SIZE),
    ] = None,
    gpu: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="How many graphics processors.", rich_help_panel=_SIZE)
    ] = None,
    idle_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Park the agent when it was idle for so long; else 4h.", rich_help_panel=_TIME
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Park it so long after its start; else 24h.", rich_help_panel=_TIME),
    ] = None,
    keep: Annotated[
        bool | None, typer.Option("--keep", help="Neither: it runs until it is stopped.", rich_help_panel=_TIME)
    ] = None,
) -> None:
    """Start a session for a directory, or resume the one that it has, and attach to it.

    For example: paude start --allow docs.example.com -- -p "fix the tests"

    What no flag says is taken from PAUDE_… variables, the directory's paude.json and your own settings: `paude config
    show` prints what counts.
    """
    from paude.cli.cleanup import sweep
    from paude.cli.gift import gift_for
    from paude.plans.request import Wishes
    from paude.settings import Paths, read
    from paude.sync.selection import check_workspace

    if allow_network:
        _apart("--allow-network", allow=allow, allow_registries=allow_registries, private_allow=private_allow)
    if keep:
        _apart("--keep", idle_timeout=idle_timeout, max_age=max_age)
    workspace = check_workspace(workspace)
    flags = {
        "backend": backend,
        "agent": agent,
        "egress.allow": allow,
        "egress.registries": allow_registries,
        "egress.parent_proxy": parent_proxy,
        "egress.ca_bundle": str(egress_ca) if egress_ca else None,
        "egress.private_allow": private_allow,
        "egress.firewall": egress_firewall,
        "pull_secret": pull_secret,
        "pod.runtime_class": runtime_class,
        "resources.limits.cpu": cpu,
        "resources.limits.memory": memory,
        "resources.requests.cpu": cpu_request,
        "resources.requests.memory": memory_request,
        "resources.gpu": gpu,
        "storage.volume": volume,
        "storage.size": storage,
        "lifecycle.idle_timeout": idle_timeout,
        "lifecycle.max_age": max_age,
        "lifecycle.keep": keep,
        **options.of_cluster(context, namespace, kubeconfig, registry, registry_ca, storage_class),
    }
    settled = read(Paths.from_environment(), workspace, flags)
    for warning in settled.warnings:
        say(f"warning: {warning}")
    wishes = Wishes(
        workspace=workspace,
        settled=settled,
        arguments=passed_on(),
        name=name,
        registries=_registries() if settled.values.egress.registries else (),
        create_namespace=create_namespace,
        walled=not allow_network,
        mount=mount,
        only=tuple(only or ()),
    )
    dry_run = dry_run or emit_yaml
    if not dry_run:
        wishes = replace(wishes, project=_agree_to_settings(settled, workspace, yes))
    gift = gift_for(wishes.settings.agent, workspace, mcp_secrets=mcp_secrets, yes=yes or dry_run)
    if dry_run:
        put(_emitted(wishes, gift) if emit_yaml else _describe(wishes, gift))
        return
    wishes = replace(wishes, agreed=None, agreed_bytes=None) if yes or mount else _agreed(wishes)
    try:
        started = in_loop(lambda: _start(wishes, gift, timeout, timings, progress))
    except StepFailed as failed:
        less = replace(wishes, settled=_smaller(failed, workspace, flags, yes))
        started = in_loop(lambda: _start(less, gift, timeout, timings, progress))
    say(f"{started} runs. `paude attach {started}` opens its terminal, `paude stop {started}` ends it.")
    if not detach and sys.stdin.isatty() and sys.stdout.isatty():
        from paude.cli.terminal import open_terminal

        open_terminal(started)
    sweep(Paths.from_environment(), started)  # last: it may take its time


def _apart(flag: str, **others: object) -> None:
    """Refuse flags of this very command that the flag would make void."""
    for name, given in others.items():
        if given:
            other = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} and {other} contradict each other", hint="leave one of them out")


def _smaller(failed: StepFailed, workspace: Path, flags: Mapping[str, object], yes: bool) -> Settled:
    """The settings of a session that fits into the quota, agreed to. Raises what failed where not."""
    from paude.settings import Paths, read

    fits = failed.cause.fits if isinstance(failed.cause, QuotaExceeded) else {}
    if not fits or failed.leftovers or not (yes or sys.stdin.isatty()):
        raise failed
    if yes:
        say(f"{failed}\n{failed.hint}: starting so")
    elif not agreed(UsageError(failed.what, why=f"{failed.why}\n{failed.hint}"), "Start so?"):
        raise failed
    return read(Paths.from_environment(), workspace, {**flags, **fits})


def _agree_to_settings(settled: Settled, workspace: Path, yes: bool) -> Project:
    """What paude.json sets that could let more out than before is shown and asked about; gives what was agreed to."""
    from paude.plans.request import project_of
    from paude.process import clean
    from paude.settings import Paths
    from paude.settings import agreed as agreements
    from paude.settings.reading import WORKSPACE_FILE
    from paude.settings.shown import text

    paths = Paths.from_environment()
    project = project_of(workspace, settled)
    for note in project.notes:
        say(f"warning: {clean(note)}")
    brought = {**settled.brought, **project.asks}
    new = agreements.changed(paths, workspace, brought)
    if new and not yes:
        matter = UsageError(
            "this workspace sets what was not agreed to yet",
            why="\n".join(f"{name}: {clean(text(value))}" for name, value in new.items()),
            hint="look at these files, and agree with --yes",
        )
        if not agreed(matter, "Go on with that?"):
            raise UsageError("not agreed to", hint=f"change {WORKSPACE_FILE}")
    agreements.agree(paths, workspace, brought)
    return project


def _registries() -> tuple[str, ...]:
    """The hosts of the package registries that the developer's own clients are set to; each is told."""
    from paude.egress import registries

    found = in_loop(lambda: registries.configured(os.environ, Path.home()))
    for one in found:
        if one.why_not:
            say(f"not allowed for {one.client}: {one.host} (from {one.origin}): {one.why_not}")
        else:
            say(f"warning: allowed for {one.client}: {one.host} (from {one.origin}); {registries.RISK}")
    if not found:
        say("no package registry is set in the configuration of npm, pip, uv, Maven, Gradle, Go or cargo")
    return tuple(one.host for one in found if not one.why_not)


def _agreed(wishes: Wishes) -> Wishes:
    """With what the user agrees to send; without a terminal nobody is asked: a step says what for."""
    from paude.plans.request import only_below, sync_limits
    from paude.settings import Paths
    from paude.sync import decided, estimate, selection

    if not sys.stdin.isatty():
        return wishes
    paths, directory = Paths.from_environment(), selection.check_workspace(wishes.workspace)
    chosen, more = in_loop(lambda: decided.decide(paths, directory, only_below(directory, wishes.only)))
    wishes = replace(wishes, agreed=_agreed_paths(more))
    if decided.load(paths, directory) is not None:
        return wishes
    limits = sync_limits(wishes.settings)
    found = in_loop(lambda: estimate.estimate(paths, directory, chosen, limits))
    if found.bytes > limits.ask_above and agreed(UsageError(f"to send: {found}"), "Send it?"):
        return replace(wishes, agreed_bytes=found.bytes * 2)  # it may grow a little meanwhile
    return wishes


def _agreed_paths(more: tuple[str, ...]) -> tuple[str, ...]:
    """What may be sent beyond what the last start sent: `.gitignore` and the like may have been changed by an agent."""
    from paude.sync import decided
    from paude.sync.shown import visible

    if not more:
        return ()
    what = "the last start did not send these, and this one would (the rules in the workspace have changed)"
    lines = [visible(path) for path in more[: decided.LISTED]]
    if len(more) > decided.LISTED:
        lines.append(f"… and {len(more) - decided.LISTED} more")
    return more if agreed(UsageError(what, why="\n".join(lines)), "Send them?") else ()


def _describe(wishes: Wishes, gift: Gift) -> str:
    from paude.plans.perform import start_plan
    from paude.plans.request import prepare
    from paude.settings import Paths

    return start_plan(prepare(wishes, Paths.from_environment(), gift)).describe()


def _emitted(wishes: Wishes, gift: Gift) -> str:
    from paude.plans.perform import manifests_of
    from paude.plans.request import prepare
    from paude.settings import Paths

    prepared = prepare(wishes, Paths.from_environment(), gift)
    # OpenShift assigns users and groups, so that no manifest may name any; elsewhere they are fixed.
    objects = in_loop(lambda: manifests_of(prepared, ids_assigned=wishes.settings.backend == "openshift"))
    import yaml

    return "\n".join(yaml.safe_dump(one, sort_keys=False, explicit_start=True).rstrip("\n") for one in objects)


async def _start(wishes: Wishes, gift: Gift, timeout: float, timings: bool, progress: str) -> str:
    from paude.cli import display
    from paude.egress.allowlist import Allowlist
    from paude.engine.timing import gantt, measure
    from paude.plans.perform import start_session
    from paude.plans.request import prepare
    from paude.settings import Paths

    prepared = prepare(wishes, Paths.from_environment(), gift)
    allowed = Allowlist(prepared.laptop.record.hosts)
    for warning in allowed.warnings if wishes.walled else (_NO_WALL,):
        say(f"warning: {warning}")
    if prepared.laptop.record.mounted:
        say(f"warning: {_MOUNTED}")
    plan, recorder = await start_session(prepared, display.opener(progress), limit_s=timeout)
    if timings:
        measured = measure(plan, recorder.events)
        say(gantt(measured))
        say(f"{measured.makespan_s:.2f} s in all; critical path {measured.critical_s:.2f} s:")
        say("  " + " → ".join(measured.critical_path))
    return prepared.laptop.name
