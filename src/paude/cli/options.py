"""Options that several verbs share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paude.cli import completion

Kubeconfig = Annotated[Path | None, typer.Option(help="The kubeconfig file to use instead of KUBECONFIG.")]
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
Timeout = Annotated[float, typer.Option(help="The overall limit in seconds.")]
