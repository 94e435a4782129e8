"""`paude start`: from words to a request, the plan run, and then the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, passed_on, put, say


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(start)


def start(
    workspace: Annotated[Path, typer.Argument(help="The directory to work on.")] = Path("."),
    name: Annotated[str | None, typer.Option(help="The session's name; else made from the directory's.")] = None,
    agent: Annotated[str, typer.Option(help="claude or shell.")] = "claude",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not attach when it runs.")] = False,
    context: options.Context = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    create_namespace: Annotated[bool, typer.Option(help="Make the namespace when it is missing.")] = False,
    registry: Annotated[
        str | None, typer.Option(envvar="PAUDE_REGISTRY", help="Where images are pushed to: HOST[:PORT][/PATH].")
    ] = None,
    registry_ca: Annotated[
        Path | None, typer.Option(envvar="PAUDE_REGISTRY_CA", help="The registry's CA certificates, else the cluster's.")
    ] = None,
    pull_secret: Annotated[str | None, typer.Option(help="An existing Secret to pull images with.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A host the agent may reach; may be repeated.")] = None,
    allow_network: Annotated[bool, typer.Option(help="No wall at all: the agent may reach anything.")] = False,
    storage: Annotated[str, typer.Option(help="The size of the workspace's volume.")] = "10Gi",
    storage_class: Annotated[str | None, typer.Option(help="Its StorageClass; else the cluster's default.")] = None,
    cpu: Annotated[str, typer.Option(help="The agent's limit of processors.")] = "4",
    memory: Annotated[str, typer.Option(help="The agent's limit of memory.")] = "8Gi",
    runtime_class: Annotated[str | None, typer.Option(help="A RuntimeClass for the pod.")] = None,
    timeout: options.Timeout = 600,
    dry_run: Annotated[bool, typer.Option(help="Print the plan and stop.")] = False,
    timings: Annotated[bool, typer.Option(help="Print what took how long, and the critical path.")] = False,
    progress: Annotated[str, typer.Option(help="auto, plain or json.")] = "auto",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer questions with yes.")] = False,
) -> None:
    """Start a session for a directory, or resume the one that it has, and attach to it.

    Words after -- go to the agent: paude start -- -p "fix the tests"
    """
    from paude.backends.kubernetes.manifests import Resources
    from paude.plans import running
    from paude.plans.request import Wishes

    wishes = Wishes(
        workspace=workspace,
        arguments=passed_on(),
        name=name,
        agent=agent,
        context=context,
        namespace=namespace,
        kubeconfig=kubeconfig,
        create_namespace=create_namespace,
        registry=registry,
        registry_ca=registry_ca,
        pull_secret=pull_secret,
        allow=tuple(allow or ()),
        walled=not allow_network,
        resources=Resources(cpu=cpu, memory=memory, storage=storage),
        storage_class=storage_class,
        runtime_class=runtime_class,
    )
    if dry_run:
        put(running.describe_start(wishes))
        return
    started = in_loop(lambda: _start(wishes, timeout, timings, progress, yes))
    say(f"{started} runs. `paude attach {started}` opens its terminal; `paude stop {started}` ends it.")
    if not detach and _on_a_terminal():
        from paude.cli.attach import open_terminal

        open_terminal(started)


def _on_a_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()
