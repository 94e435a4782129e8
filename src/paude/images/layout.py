"""An image as files, in the layout that the OCI image specification describes; podman writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paude.errors import CommandFailed, ImageError
from paude.images.podman import podman, stop_words
from paude.images.reference import is_digest


@dataclass(frozen=True)
class Blob:
    """A layer, or an image's configuration: `size` is in bytes."""

    digest: str
    size: int
    file: Path


@dataclass(frozen=True)
class Layout:
    """An image: its manifest as it is, and everything that the manifest names."""

    manifest: bytes
    media_type: str
    blobs: tuple[Blob, ...]


async def save(local: str, directory: Path) -> Layout:
    """Write an image of the local storage below `directory`, its layers compressed. Raises ImageError."""
    written = directory / "image"
    words = ("save", "--quiet", "--format", "oci-dir", "--output", str(written), local)
    try:
        await podman(words, temporary=directory)
    except CommandFailed as exc:
        hint = "make room with `paude prune` or `podman image prune`" if "no space left" in exc.stderr else ""
        raise ImageError(f"{local} cannot be read from podman", why=stop_words(exc.stderr, 3), hint=hint) from exc
    return read(written)


def read(directory: Path) -> Layout:
    """The one image of a layout. Raises ImageError for something else."""
    try:
        (described,) = json.loads((directory / "index.json").read_bytes())["manifests"]
        manifest = _blob(directory, described).file.read_bytes()
        content = json.loads(manifest)
        named = {one["digest"]: one for one in (content["config"], *content["layers"])}
        return Layout(manifest, str(described["mediaType"]), tuple(_blob(directory, one) for one in named.values()))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ImageError("podman wrote an image that cannot be read", why=str(exc)) from exc


def _blob(directory: Path, described: Any) -> Blob:
    digest = described["digest"]
    if not is_digest(digest):
        raise ValueError(f"{str(digest)[:80]!a} is no digest")
    return Blob(digest, int(described["size"]), directory / "blobs" / "sha256" / digest.removeprefix("sha256:"))
