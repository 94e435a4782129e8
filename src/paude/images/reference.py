"""Where images live: names of images, the registry that a session's images are pushed to, and its login. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from anyio.abc import ByteStream

from paude import redaction
from paude.errors import SettingsError

# The grammar of the OCI distribution specification, without digests and tags.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TARGET = re.compile(rf"({_HOST}(?::[0-9]{{1,5}})?)((?:/{_PART})*)")
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 255

Way: TypeAlias = Callable[[], Awaitable[ByteStream]]
"""A new stream to a registry whose name leads nowhere from here. What fails for good is raised as it is."""


@dataclass(frozen=True)
class Login:
    """A user and a password or token for a registry; the secret never shows in a repr."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        redaction.hold(self.password)


@dataclass(frozen=True)
class ImageReference:
    """One tag of one image: `host/repository:tag`."""

    host: str
    repository: str
    tag: str

    def __post_init__(self) -> None:
        whole = _TARGET.fullmatch(self.host)
        if whole is None or not _REPOSITORY.fullmatch(self.repository) or not _TAG.fullmatch(self.tag):
            raise SettingsError(f"{str(self)[:200]!a} is no name of an image")

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class RegistryTarget:
    """Where images are pushed to (`host[:port][/path]`), as whom, and whom to trust.

    Without `login` the user's own container login is used. `ca_file` (PEM) is trusted beside the system's store.
    `pull_from` is the name under which the cluster's nodes reach the same place, when it differs
    (OpenShift: pushed to the public name, pulled by the internal one). `way` leads to a registry that has no name
    here; TLS and login go through it from end to end. `known` are digests, by `repository:tag`, that nobody has to ask
    for.
    Raises SettingsError when the words are no registry.
    """

    host_and_path: str
    login: Login | None = None
    ca_file: Path | None = None
    pull_from: str | None = None
    way: Way | None = field(default=None, compare=False, repr=False)
    known: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for words in filter(None, (self.host_and_path, self.pull_from)):
            _check_target(words)
        if not self.host_and_path:
            _check_target("")

    @property
    def host(self) -> str:
        """The registry's host and port."""
        return self.host_and_path.partition("/")[0]

    def reference(self, name: str, tag: str) -> ImageReference:
        """The image `name:tag` as it is pushed."""
        return _below(self.host_and_path, name, tag)

    def pull_reference(self, name: str, tag: str) -> ImageReference:
        """The image `name:tag` as the cluster's nodes pull it."""
        return _below(self.pull_from or self.host_and_path, name, tag)


@dataclass(frozen=True)
class Pushed:
    """An image that is in the registry: what a pod names, and the digest its status must show."""

    reference: str
    digest: str


def is_digest(text: str) -> bool:
    """Whether `text` is the sha256 digest of an image."""
    return _DIGEST.fullmatch(text) is not None


def _below(host_and_path: str, name: str, tag: str) -> ImageReference:
    host, _, path = host_and_path.partition("/")
    return ImageReference(host, f"{path}/{name}" if path else name, tag)


def _check_target(words: str) -> None:
    if len(words) <= _LONGEST and _TARGET.fullmatch(words):
        return
    # What stands before an @ may be a password.
    shown = f"…@{words.rpartition('@')[2]}" if "@" in words else words
    raise SettingsError(
        f"{shown[:80]!a} is no place for images",
        why="a registry is written as host[:port][/path], in lower case, without a scheme and without a tag",
        hint="for example `--registry registry.example.com/team`",
    )
