"""`paude setup`: from a cluster or podman to settings that a start can use."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from paude.cli import options
from paude.cli.app import in_loop, put, say
from paude.cli.ask import chosen
from paude.cli.verb import Verb
from paude.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(setup)


def setup(
    backend: Annotated[str | None, typer.Option(metavar="NAME", help="podman, kubernetes or openshift.")] = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    registry: options.Registry = None,
    registry_ca: options.RegistryCA = None,
    storage_class: options.StorageClass = None,
    yes: options.Yes = False,
) -> None:
    """Find out where sessions can run and write that into your own settings; may be repeated.

    Where rights are missing, the Role that an administrator would apply is printed on standard output.
    """
    from paude.plans.setup import RightsMissing, Setup
    from paude.settings import Paths, read
    from paude.settings.write import write

    if not yes and not sys.stdin.isatty():
        raise UsageError("there is nobody to ask", hint="give --yes to take what is proposed")
    paths = Paths.from_environment()
    registry_ca = registry_ca.absolute() if registry_ca else None  # it is written down for other directories
    of_cluster = options.of_cluster(context, namespace, kubeconfig, registry, registry_ca, storage_class)
    settled = read(paths, None, {"backend": backend, **of_cluster})
    for warning in settled.warnings:
        say(f"warning: {warning}")
    ask = _proposed if yes else chosen
    try:
        decided = in_loop(Setup(settled.values, paths, ask, _tell).run)
    except RightsMissing as error:
        put(error.role.rstrip())
        raise
    if kubeconfig is not None:
        decided["kubeconfig"] = str(kubeconfig.absolute())
    changed = write(paths, decided)
    for name, value in decided.items():
        say(f"  {name}: {json.dumps(value)}")
    say(f"{'written to' if changed else 'nothing changed in'} {paths.user_settings}; `paude start` is next")


def _proposed(question: str, answers: Sequence[str], proposed: str) -> str:
    return proposed


def _tell(check: object) -> None:
    from paude.plans.doctor import Check

    assert isinstance(check, Check)
    say(f"{check.result:<8} {check.name}: {check.seen}")
    if check.remedy and check.result != "ok":
        say(f"{'':<8} → {check.remedy}")
