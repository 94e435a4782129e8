"""`paude completion`: what a shell needs to complete verbs, options, sessions and contexts. It never asks a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from paude.cli.verb import Verb
from paude.errors import PaudeError, UsageError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_PAUDE_COMPLETE"


def _shells(incomplete: str) -> list[str]:
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(completion)


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", autocompletion=_shells)],
) -> None:
    """Print the completion script for a shell.

    bash: eval "$(paude completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit;
    fish: paude completion fish > ~/.config/fish/completions/paude.fish
    """
    from typer.completion import shell_complete

    if shell not in SHELLS:
        raise UsageError(f"there is no completion for {shell[:40]!r}", hint="shells: " + ", ".join(SHELLS))
    shell_complete(context.find_root().command, {}, "paude", VARIABLE, f"source_{shell}")


def sessions(incomplete: str) -> list[str]:
    """The names of this machine's sessions. Silent when they cannot be read: words would end up in the user's line."""
    from paude.sessions import records
    from paude.settings import Paths

    try:
        known = records.load_all(Paths.from_environment())
    except (PaudeError, OSError):
        return []
    return [one.name for one in known if one.name.startswith(incomplete)]


def contexts(incomplete: str) -> list[str]:
    """The contexts of the kubeconfig files, silent in the same way."""
    from paude.backends.kubernetes import kubeconfig

    try:
        known = kubeconfig.contexts(kubeconfig.files_from(None))
    except (PaudeError, OSError):
        return []
    return [one for one in known if one.startswith(incomplete)]
