"""Options that several verbs share, spelled once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from paude.cli import completion
from paude.errors import UsageError


def path(text: str | Path) -> Path:
    """A path that somebody wrote. Raises UsageError for an empty word, which would be the current directory."""
    if text == "":
        raise UsageError("a path is empty", hint="a variable that is not set? `.` is the current directory")
    return Path(text)


def named(text: str) -> str:
    """A name that somebody wrote. Raises UsageError for an empty word, which would be whatever there is by default."""
    if text == "":
        raise UsageError("a name is empty", hint="a variable that is not set? what is not named is left out")
    return text


# The headings under which a verb with many options lists them.
PLACE, GIVEN, SIZE = "Where it runs", "What it works on", "Its volume and its resources"

Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", parser=path, help="The kubeconfig file to use instead of KUBECONFIG.", rich_help_panel=PLACE
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        parser=named,
        help="The context; the current one is never changed.",
        autocompletion=completion.contexts,
        rich_help_panel=PLACE,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        parser=named,
        help="The namespace; else the context's.",
        rich_help_panel=PLACE,
    ),
]
Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="The session; else the most recent one.", autocompletion=completion.sessions),
]
Registry = Annotated[
    str | None, typer.Option(metavar="HOST[:PORT][/PATH]", help="Where images are pushed to.", rich_help_panel=PLACE)
]
RegistryCA = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", parser=path, help="The registry's CA certificates; else the cluster's.", rich_help_panel=PLACE
    ),
]
StorageClass = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The volume's StorageClass; else the cluster's default.", rich_help_panel=SIZE),
]


def of_cluster(
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    registry: Registry = None,
    registry_ca: RegistryCA = None,
    storage_class: StorageClass = None,
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


OfCluster = dict[str, object]


def with_cluster(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the options of `of_cluster` in place of its parameter `cluster`, which has them as settings."""
    own, shared = (inspect.signature(one, eval_str=True).parameters for one in (verb, of_cluster))

    @wraps(verb)
    def run(**words: Any) -> None:
        cluster = of_cluster(**{name: words.pop(name) for name in shared})
        verb(cluster=cluster, **words)

    taken = [one for name in own for one in (shared.values() if name == "cluster" else [own[name]])]
    by_name = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in taken]
    run.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
    return run


def _positive(seconds: float) -> float:
    if not seconds > 0:  # not a number is neither
        raise UsageError(f"--timeout is {seconds:g}", why="more than 0 seconds are wanted")
    return seconds


Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="The overall limit in seconds.", callback=_positive)]
Progress = Annotated[str, typer.Option(metavar="KIND", help="How progress is shown: auto, live, plain, json or quiet.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: agree, and take what is proposed.")]
McpSecrets = Annotated[
    bool,
    typer.Option("--mcp-secrets", help="Your MCP servers keep their secrets in the session.", rich_help_panel=GIVEN),
]
