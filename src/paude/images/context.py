"""The build contexts of the three images: which files go in, their hash, and the directory given to the builder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from paude import artifacts
from paude.errors import ImageError, SettingsError
from paude.images import npm
from paude.images.agents import Agent
from paude.images.content import Entry, Memory, content_hash, tag, text_digest
from paude.images.project import OwnBuild, Project

DEFAULT_BASE = "docker.io/library/debian:bookworm-slim"
DEFAULT_PLATFORM = "linux/amd64"
CONTAINERFILE = "Containerfile"
ROLES = ("gate", "agent", "proxy")

_BINARIES = {"gate": ("paude-pod", "mutagen-agent"), "agent": ("paude-pod",), "proxy": ("paude-pod",)}
_WITH_SSHD = ("gate", "agent")
_PLATFORM = re.compile(r"linux/(?:amd64|arm64)")
_BASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@\[\]-]{0,254}")


@dataclass(frozen=True)
class Source:
    """A file of a context: it lies on this machine, or its text is at hand, or npm has it."""

    path: str
    executable: bool = False
    file: Path | None = None
    text: bytes | None = None
    fetched: npm.NpmFile | None = None


@dataclass(frozen=True)
class ImageSpec:
    """An image that can be built: its name in every registry, what it stands on, and the files of its context.

    `own` is a build of the project's that has to be made first, for this one to stand on.
    """

    name: str
    sources: tuple[Source, ...]
    base: str = DEFAULT_BASE
    platform: str = DEFAULT_PLATFORM
    own: OwnBuild | None = None

    def __post_init__(self) -> None:
        check(self.base, self.platform)


def check(base: str, platform: str) -> None:
    """Raises SettingsError unless both are words that a builder can be given."""
    if not _PLATFORM.fullmatch(platform):
        raise SettingsError(f"{platform[:40]!a} is no platform", hint="platforms: linux/amd64, linux/arm64")
    if not _BASE.fullmatch(base):
        raise SettingsError(f"{base[:80]!a} is no name of a base image", hint="check PAUDE_BASE_IMAGE")


def image(role: str, base: str, platform: str, agent: Agent | None = None, project: Project | None = None) -> ImageSpec:
    """Our image for `role` (gate, agent, proxy); only the agent's has a coding agent, and what a project wants.

    Raises SettingsError when the installation lacks a file of it.
    """
    if role not in ROLES:
        raise SettingsError(f"there is no image for {role!r}")
    found = {CONTAINERFILE: Source(CONTAINERFILE, text=_containerfile(role, agent, project))}
    for source in (*_own(role, platform), *_fetched(agent)):
        found.setdefault(source.path, source)
    own = project.build if project else None
    return ImageSpec(f"paude-{role}", tuple(found[path] for path in sorted(found)), base, platform, own)


def image_tag(spec: ImageSpec, memory: Memory) -> str:
    """The tag that stands for everything the image is made of. Raises ImageError when a file cannot be read."""
    try:
        entries = [Entry(s.path, s.executable, _digest(s, memory)) for s in spec.sources]
    except OSError as exc:
        raise ImageError(f"a file of the image {spec.name} cannot be read", why=str(exc)) from exc
    facts = {"name": spec.name, "base": spec.base, "platform": spec.platform}
    return tag(content_hash(entries, facts))


async def assemble(spec: ImageSpec, directory: Path, cache: Path) -> None:
    """Lay the context into the empty `directory`; what npm has is fetched into `cache` first. Raises ImageError."""
    for source in spec.sources:
        file = await npm.fetch(source.fetched, cache) if source.fetched else source.file
        try:
            await anyio.to_thread.run_sync(_lay, source, file, directory / source.path)
        except OSError as exc:
            raise ImageError(f"the context of {spec.name} cannot be laid out", why=str(exc)) from exc
    await anyio.to_thread.run_sync(_settle, directory)


def _containerfile(role: str, agent: Agent | None, project: Project | None = None) -> bytes:
    file = artifacts.path(f"containers/{role}/{CONTAINERFILE}")
    try:
        text = file.read_text()
    except OSError as exc:
        raise SettingsError(f"{file} cannot be read", why=str(exc)) from exc
    return "\n".join(
        (text.rstrip("\n"), *(project.lines if project else ()), *(agent.lines if agent else ()), "")
    ).encode()


def _own(role: str, platform: str) -> Iterator[Source]:
    yield from _tree(artifacts.path(f"containers/{role}"), "")
    if role in _WITH_SSHD:
        yield from _tree(artifacts.path("sshd"), "sshd/")
    for name in _BINARIES[role]:
        yield Source(name, executable=True, file=artifacts.path(f"bin/{platform.replace('/', '_')}/{name}"))


def _tree(root: Path, below: str) -> Iterator[Source]:
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if file.is_file() and not any(part.startswith((".", "__")) for part in relative.parts):
            yield Source(below + relative.as_posix(), executable=bool(file.stat().st_mode & 0o111), file=file)


def _fetched(agent: Agent | None) -> Iterator[Source]:
    files: Mapping[str, npm.NpmFile] = agent.files if agent else {}
    for path, wanted in files.items():
        yield Source(path, executable=True, fetched=wanted)


def _digest(source: Source, memory: Memory) -> str:
    if source.fetched is not None:
        return source.fetched.identity
    if source.file is not None:
        return memory.digest(source.file)
    return text_digest(source.text or b"")


def _lay(source: Source, file: Path | None, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if file is None:
        to.write_bytes(source.text or b"")
    elif not (source.fetched and _linked(file, to)):
        shutil.copyfile(file, to)
    to.chmod(0o755 if source.executable else 0o644)
    # Layers are found again by content and time: the same file must look the same in every context.
    os.utime(to, (0, 0))


def _settle(directory: Path) -> None:
    for below in directory.rglob("*"):
        if below.is_dir():
            below.chmod(0o755)
            os.utime(below, (0, 0))


def _linked(file: Path, to: Path) -> bool:
    """A link instead of a copy: the cache's file has the mode and the time of the context's already."""
    try:
        os.link(file, to)
    except OSError:
        return False
    return True
