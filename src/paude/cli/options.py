"""Options that several verbs share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paude.cli import completion
from paude.errors import UsageError


def of_cluster(
    context: str | None,
    namespace: str | None,
    kubeconfig: Path | None,
    registry: str | None,
    registry_ca: Path | None,
    storage_class: str | None,
) -> dict[str, object]:
    """These options as settings."""
    return {
        "context": context,
        "namespace": namespace,
        "kubeconfig": str(kubeconfig) if kubeconfig else None,
        "registry": registry,
        "registry_ca": str(registry_ca) if registry_ca else None,
        "storage.class": storage_class,
    }


def path(text: str | Path) -> Path:
    """A path that somebody wrote. Raises UsageError for an empty word, which would be the current directory."""
    if text == "":
        raise UsageError("a path is empty", hint="a variable that is not set? `.` is the current directory")
    return Path(text)


Kubeconfig = Annotated[Path | None, typer.Option(parser=path, help="The kubeconfig file to use instead of KUBECONFIG.")]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        "--openshift-context",
        help="The context; the current one is never changed.",
        autocompletion=completion.contexts,
    ),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", "--openshift-namespace", help="The namespace; else the context's.")
]
Name = Annotated[
    str | None, typer.Argument(help="The session; else the most recent one.", autocompletion=completion.sessions)
]
Registry = Annotated[str | None, typer.Option(help="Where images are pushed to: HOST[:PORT][/PATH].")]
RegistryCA = Annotated[
    Path | None, typer.Option(parser=path, help="The registry's CA certificates, else the cluster's.")
]
StorageClass = Annotated[str | None, typer.Option(help="The volume's StorageClass; else the cluster's default.")]


def _positive(seconds: float) -> float:
    if not seconds > 0:  # not a number is neither
        raise UsageError(f"--timeout is {seconds:g}", why="more than 0 seconds are wanted")
    return seconds


Timeout = Annotated[float, typer.Option(help="The overall limit in seconds.", callback=_positive)]
