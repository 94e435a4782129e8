"""What a project wants in the agent's image and container: from paude.json, and from devcontainer.json beneath it.

Reads files of the workspace, which an agent may have written: what lets more out of this machine is named in `asks`,
for somebody to agree to.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paude.errors import SettingsError

PLACES = (".devcontainer/devcontainer.json", ".devcontainer.json")
_LARGEST = 256 * 1024
_LARGEST_RECIPE = 1 << 20
_WORKSPACE = "/workspace"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}(?::[a-z0-9-]{1,20})?(?:=[A-Za-z0-9.+:~-]{1,100})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")
# What does not end goes to the end of the file: else each of many beginnings is looked through to there.
_STRING = r'("(?:\\[\s\S]|[^"\\])*(?:"|\\?\Z))'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)")
_TRAILING = re.compile(_STRING + r"|,(?=\s*[}\]])")
_COMMANDS = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
# https://containers.dev/implementors/json_reference: what paude does not do, and says so.
_NOT_DONE = {
    "features": "features are not run: name Debian packages in paude.json, or build an image that has them",
    "dockerComposeFile": "a session is one container: name an `image` or a `build`",
    "initializeCommand": "it would run on your machine, which nothing of a workspace does",
    "postStartCommand": "only what runs once is run",
    "postAttachCommand": "only what runs once is run",
    "mounts": "nothing of your machine is mounted",
    "runArgs": "the container is paude's",
    "privileged": "the agent has no privileges",
    "capAdd": "the agent has no capabilities",
    "secrets": "secrets are given by you, not by a file of the workspace",
}


@dataclass(frozen=True)
class OwnBuild:
    """An image that the project describes itself: built from `context`, before paude's own layers.

    `recipe` is what the Containerfile said when it was read: that is agreed to, and that is built.
    """

    containerfile: Path
    context: Path
    target: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    recipe: bytes = b""


@dataclass(frozen=True)
class Project:
    """`setup` are shell commands, run once in the workspace's copy, inside of the wall, before the agent starts."""

    base: str = ""
    build: OwnBuild | None = None
    packages: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    asks: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise SettingsError(f"{package[:60]!a} is no name of a Debian package", hint="see `packages`")

    @property
    def lines(self) -> tuple[str, ...]:
        """The end of the Containerfile that installs the packages."""
        if not self.packages:
            return ()
        install = (
            "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
            f"{' '.join(sorted(set(self.packages)))} && apt-get clean && rm -rf /var/lib/apt/lists/*"
        )
        return ("USER 0:0", install, "USER 10001:0")

    @property
    def script(self) -> bytes:
        """The setup as one script that stops at the first failure; empty when there is none."""
        return "\n".join(("set -e", *self.setup, "")).encode() if self.setup else b""

    def over(self, beneath: Project) -> Project:
        """This, with what it does not say taken from `beneath`; a base or a build of this one hides both there."""
        image = self if self.base or self.build else beneath
        return replace(
            self,
            base=image.base,
            build=image.build,
            packages=self.packages or beneath.packages,
            setup=self.setup or beneath.setup,
            environment={**beneath.environment, **self.environment},
            notes=(*beneath.notes, *self.notes),
            asks={**beneath.asks, **self.asks},
        )


def own_build(
    workspace: Path, containerfile: str, context: str = "", target: str = "", arguments: Mapping[str, str] | None = None
) -> OwnBuild:
    """A build inside of the workspace. Raises SettingsError for paths that leave it, or are not what they should be."""
    file = _inside(workspace, containerfile, "the Containerfile")
    below = _inside(workspace, context or ".", "the context")
    return OwnBuild(file, below, target, tuple((arguments or {}).items()), _recipe(file, containerfile))


def _recipe(file: Path, name: str) -> bytes:
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_RECIPE:
            raise SettingsError(f"the Containerfile {name[:80]!a} is no file of at most {_LARGEST_RECIPE >> 20} MiB")
        return file.read_bytes()
    except OSError as exc:
        raise SettingsError(f"the Containerfile {name[:80]!a} cannot be read", why=str(exc)) from exc


def _inside(workspace: Path, path: str, what: str) -> Path:
    found = (workspace / path).resolve()
    if not found.is_relative_to(workspace.resolve()):
        raise SettingsError(
            f"{what} {path[:80]!a} lies outside of the workspace", hint="only what is in it is built from"
        )
    if not found.exists():
        raise SettingsError(f"{what} {path[:80]!a} is not there")
    return found


def of_devcontainer(workspace: Path) -> Project:
    """What `devcontainer.json` says, if there is one. Raises SettingsError for one that makes no sense."""
    file = next((workspace / place for place in PLACES if (workspace / place).is_file()), None)
    if file is None:
        return Project()
    name = str(file.relative_to(workspace))
    content = _read(file, name)
    build = _build(workspace, file, content)
    image = _text(content, "image", name)
    asked = {"image": image} if image else {"build": content["build"]} if build else {}
    environment, left = _environment(content, name)
    not_done = (f"{name}: `{key}` is not taken: {why}" for key, why in _NOT_DONE.items() if content.get(key))
    return Project(
        base="" if build else image,
        build=build,
        setup=tuple(command for key in _COMMANDS for command in _commands(content.get(key), name, key)),
        environment=environment,
        notes=(*not_done, *left),
        asks={name: asked} if asked else {},
    )


def plain_json(text: str) -> str:
    """JSON with comments and trailing commas, without them."""
    return _TRAILING.sub(lambda found: found[1] or "", _COMMENT.sub(lambda found: found[1] or " ", text))


def _read(file: Path, name: str) -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            data = source.read(_LARGEST + 1)
        content = json.loads(plain_json(data.decode())) if len(data) <= _LARGEST else None
    except (OSError, ValueError, RecursionError) as exc:
        raise SettingsError(f"{name} cannot be read", why=str(exc)[:200]) from exc
    if not isinstance(content, dict):
        raise SettingsError(f"{name} is no JSON object of at most {_LARGEST // 1024} KiB")
    return content


def _build(workspace: Path, file: Path, content: Mapping[str, Any]) -> OwnBuild | None:
    given = content.get("build")
    if not isinstance(given, dict):
        return None
    below = file.parent.relative_to(workspace)
    containerfile = _text(given, "dockerfile", "build") or "Dockerfile"
    arguments = given.get("args") if isinstance(given.get("args"), dict) else {}
    return own_build(
        workspace,
        str(below / containerfile),
        str(below / (_text(given, "context", "build") or ".")),
        _text(given, "target", "build"),
        {str(key): str(value) for key, value in (arguments or {}).items()},
    )


def _environment(content: Mapping[str, Any], name: str) -> tuple[dict[str, str], list[str]]:
    """`containerEnv` and `remoteEnv`, which are one here; nothing of this machine's environment is filled in."""
    kept: dict[str, str] = {}
    left = []
    for key in ("containerEnv", "remoteEnv"):
        table = content.get(key)
        for variable, value in table.items() if isinstance(table, dict) else ():
            text = str(value).replace("${containerWorkspaceFolder}", _WORKSPACE)
            if not _VARIABLE.fullmatch(str(variable)) or "${" in text or not text.isprintable():
                left.append(f"{name}: `{key}` leaves {str(variable)[:40]!a} out: only plain values go into the session")
            else:
                kept[str(variable)] = text
    return kept, left


def _commands(value: object, name: str, key: str) -> Iterator[str]:
    """A command is text for a shell, a list of words, or an object of several of either."""
    if value is None:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        yield shlex.join(value)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _commands(one, name, key)
    else:
        raise SettingsError(f"`{key}` in {name} is no command", why="text, a list of words or an object is wanted")


def _text(content: Mapping[str, Any], key: str, name: str) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise SettingsError(f"`{key}` in {name} is no text")
    return value
