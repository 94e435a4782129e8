"""Options that several verbs share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_session(incomplete: str) -> list[str]:
    """The names of this machine's sessions, for the shell's completion."""
    from paude.sessions import records
    from paude.settings import Paths

    return [r.name for r in records.load_all(Paths.from_environment()) if r.name.startswith(incomplete)]


Kubeconfig = Annotated[Path | None, typer.Option(help="The kubeconfig file to use instead of KUBECONFIG.")]
Context = Annotated[
    str | None, typer.Option("--context", "--openshift-context", help="The context; the current one is never changed.")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", "--openshift-namespace", help="The namespace; else the context's.")
]
Name = Annotated[
    str | None, typer.Argument(help="The session; else the most recent one.", autocompletion=complete_session)
]
Output = Annotated[str, typer.Option("--output", "-o", help="json, wide or name.")]
Timeout = Annotated[float, typer.Option(help="The overall limit in seconds.")]
