"""Builds with podman: only what the local storage lacks, layers cached, the same files giving the same image."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio.to_thread

from paude import report
from paude.errors import CommandFailed, ImageError
from paude.images import context, tidy
from paude.images.agents import Agent
from paude.images.agents import agent as find_agent
from paude.images.content import Memory
from paude.images.context import CONTAINERFILE, DEFAULT_BASE, DEFAULT_PLATFORM, ImageSpec, image_tag
from paude.images.once import Once
from paude.images.podman import line, podman, stop_words
from paude.images.project import OwnBuild, Project
from paude.settings import Settings

BASE_OF_PROJECT = "localhost/paude-base-of-project"
"""The name of what a project builds for the agent's image to stand on."""
Lay: TypeAlias = Callable[[Path, Path], Awaitable[None]]
"""Copies what may leave the workspace of the first directory, which lies in it, into the second, which is empty."""
_STEP = re.compile(r"STEP ([0-9]+)/([0-9]+): ")


async def nothing_leaves(source: Path, into: Path) -> None:
    """A build of the project's is not made. Raises ImageError."""
    raise ImageError(f"nothing of {source} may be built from here")


@dataclass(frozen=True)
class BuildSettings:
    """What the user may say about builds, the directory they use, and what the images of one run have in common.

    `network` is "" (podman's own) or "host": the network of RUN lines, for machines whose containers have none.
    `bases` are the names of what the project builds, which may change between one look at the workspace and the next;
    `sent` is where layers have been pushed.
    """

    cache: Path
    base: str = DEFAULT_BASE
    platform: str = DEFAULT_PLATFORM
    network: str = ""
    claude_version: str = ""
    project: Project = field(default_factory=Project)
    lay: Lay = nothing_leaves
    bases: Once[str] = field(default_factory=Once, compare=False, repr=False)
    sent: Once[str] = field(default_factory=Once, compare=False, repr=False)

    @classmethod
    def of(
        cls, wanted: Settings, *, cache: Path, project: Project | None = None, lay: Lay = nothing_leaves
    ) -> BuildSettings:
        """From what the user set, and what the project wants in the agent's image.

        Raises SettingsError for words that a builder cannot be given.
        """
        settings = cls(
            cache=cache,
            base=wanted.base or DEFAULT_BASE,
            platform=wanted.platform,
            network=wanted.build.network,
            claude_version=wanted.claude_version,
            project=project or Project(),
            lay=lay,
        )
        context.check(settings.base, settings.platform)
        context.check(settings.project.base or settings.base, settings.platform)
        return settings

    def image(self, role: str, agent: str = "") -> ImageSpec:
        """The image for `role` (gate, agent, proxy); `agent` names the coding agent of the agent's image."""
        if role != "agent":
            return context.image(role, self.base, self.platform)
        return context.image(role, self.project.base or self.base, self.platform, self.agent(agent), self.project)

    def agent(self, name: str) -> Agent | None:
        """The coding agent of that name, in the version that is set; None for an empty name."""
        version = self.claude_version if name == "claude" else ""
        return find_agent(name, self.platform, version) if name else None


def local_name(image: ImageSpec, tag: str) -> str:
    """The name of the image in the local storage."""
    return f"localhost/{image.name}:{tag}"


async def tag_of(image: ImageSpec, settings: BuildSettings) -> str:
    """The image's content tag: its name is known before anything of ours is built. Raises ImageError, SettingsError."""
    image = await on_its_base(image, settings)
    return await anyio.to_thread.run_sync(_tag, image, settings)


def _tag(image: ImageSpec, settings: BuildSettings) -> str:
    memory = Memory(settings.cache / "digests.json")
    tag = image_tag(image, memory)
    memory.save()
    return tag


async def in_storage(name: str) -> bool:
    """Whether the local storage has the image. Raises ImageError when podman does not work."""
    try:
        await podman(("image", "exists", name))
    except CommandFailed as exc:
        if exc.returncode == 1:
            return False
        raise ImageError("podman does not work", why=stop_words(exc.stderr), hint="try `podman info`") from exc
    return True


async def on_its_base(image: ImageSpec, settings: BuildSettings) -> ImageSpec:
    """The image on what the project builds for it: built once in a run, and named by its content. Raises ImageError."""
    own = image.own
    if own is None:
        return image
    base = await settings.bases.of((own, image.platform), partial(_build_base, image, own, settings))
    return replace(image, base=base, own=None)


async def _build_base(image: ImageSpec, own: OwnBuild, settings: BuildSettings) -> str:
    """Build it from what was agreed to, and a copy of what may leave the workspace; both may change meanwhile."""
    contexts = _contexts(settings)
    with tempfile.TemporaryDirectory(dir=contexts, prefix="base-", ignore_cleanup_errors=True) as directory:
        recipe, note, copied = (Path(directory) / name for name in (CONTAINERFILE, "id", "context"))
        copied.mkdir()
        await settings.lay(own.context, copied)
        recipe.write_bytes(own.recipe)
        words = ["--layers", "--timestamp", "0", "--platform", image.platform, "--file", str(recipe)]
        words += [f"--network={settings.network}"] if settings.network else []
        words += [f"--target={own.target}"] if own.target else []
        for key, value in own.arguments:
            words += ["--build-arg", f"{key}={value}"]
        await _run(image, [*words, *_ignored(own, copied), "--iidfile", str(note), str(copied)])
        found = note.read_text().strip().removeprefix("sha256:")
    name = f"{BASE_OF_PROJECT}:{found[:12]}"
    await podman(["tag", found, name])
    return name


def _ignored(own: OwnBuild, copied: Path) -> list[str]:
    """The ignore file that belongs to the Containerfile alone: podman looks for it beside that, which is elsewhere."""
    if own.containerfile.is_relative_to(own.context):
        beside = copied / own.containerfile.relative_to(own.context)
        for file in (beside.with_name(f"{beside.name}{end}") for end in (".containerignore", ".dockerignore")):
            if file.is_file():
                return ["--ignorefile", str(file)]
    return []


def _contexts(settings: BuildSettings) -> Path:
    contexts = settings.cache / "contexts"
    contexts.mkdir(mode=0o700, parents=True, exist_ok=True)
    return contexts


async def build(image: ImageSpec, tag: str, settings: BuildSettings) -> str:
    """Build the image and return its local name; podman's steps are reported. Raises ImageError."""
    name = local_name(image, tag)
    image = await on_its_base(image, settings)
    contexts, prefix = _contexts(settings), f"{image.name}-"
    with tempfile.TemporaryDirectory(dir=contexts, prefix=prefix, ignore_cleanup_errors=True) as directory:
        await context.assemble(image, Path(directory), settings.cache)
        await tidy.remove_dead()
        await _run(image, _arguments(image, name, settings, Path(directory)))
    return name


async def _run(image: ImageSpec, arguments: list[str]) -> None:
    mark, done = tidy.new_mark(), False
    try:
        await podman(["build", "--build-arg", f"{tidy.MARK}={mark}", *arguments], tell=_tell)
        done = True
    except CommandFailed as exc:
        raise _failure(image, exc) from exc
    finally:
        if not done:
            await tidy.remove_own(mark)


def _arguments(image: ImageSpec, name: str, settings: BuildSettings, directory: Path) -> list[str]:
    # The epoch as every file's and the image's time: the same files give the same digest on every laptop.
    words = ["--layers", "--timestamp", "0", "--tag", name, "--platform", image.platform]
    words += ["--build-arg", f"BASE={image.base}", "--file", str(directory / CONTAINERFILE)]
    words += [f"--network={settings.network}"] if settings.network else []
    return [*words, str(directory)]


def _tell(text: str) -> None:
    step = _STEP.match(text)
    if step:
        report.progress(int(step[1]), int(step[2]), "layers")
    line(text)


def _failure(image: ImageSpec, failed: CommandFailed) -> ImageError:
    hint = "the lines above say which step failed"
    if "no space left" in failed.stderr:
        hint = "make room with `podman image prune`"
    elif re.search(r"short-name|initializing source|pinging container registry", failed.stderr):
        hint = f"the base image {image.base} cannot be had; PAUDE_BASE_IMAGE names another"
    elif re.search(r"apt-get: (?:command )?not found|/bin/sh\W.*no such file", failed.stderr, re.IGNORECASE):
        hint = f"{image.base} is no Debian or Ubuntu image with a shell and apt-get; PAUDE_BASE_IMAGE names another"
    elif re.search(r"exec format error", failed.stderr, re.IGNORECASE):
        hint = f"this machine cannot run programs for {image.platform}; build on one that can"
    return ImageError(f"the image {image.name} cannot be built", why=stop_words(failed.stderr), hint=hint)
