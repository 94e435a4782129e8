"""Which of paude's images in the local storage no start would use any more, and removing them.

The registry's are left alone: a session that sleeps may be started from one of them again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from paude.errors import CommandFailed, ImageError
from paude.images.agents import NAMES
from paude.images.build import BASE_OF_PROJECT, BuildSettings, local_name, tag_of
from paude.images.context import ROLES
from paude.images.podman import podman, stop_words

_NAMES = (*(f"localhost/paude-{role}" for role in ROLES), BASE_OF_PROJECT)


@dataclass(frozen=True)
class LocalImage:
    """An image by one of its names; `size` is in bytes, and counts layers that it may share with others."""

    name: str
    identity: str
    size: int

    @property
    def of_project(self) -> bool:
        """Whether a project has a say in it."""
        return self.name.startswith(("localhost/paude-agent:", f"{BASE_OF_PROJECT}:"))


async def wanted(settings: BuildSettings) -> set[str]:
    """The names of the images that a start would use now, with any of the agents. Builds what a project builds."""
    specs = [settings.image(role) for role in ROLES if role != "agent"]
    specs += [settings.image("agent", agent) for agent in NAMES]
    return {local_name(spec, await tag_of(spec, settings)) for spec in specs}


async def present() -> tuple[LocalImage, ...]:
    """All of paude's own images. Raises ImageError when podman does not work."""
    filters = [word for name in _NAMES for word in ("--filter", f"reference={name}")]
    try:
        done = await podman(("images", *filters, "--format", "json"))
    except CommandFailed as exc:
        raise ImageError("podman does not work", why=stop_words(exc.stderr), hint="try `podman info`") from exc
    return listed(json.loads(done.text or "[]"))


def listed(found: Iterable[dict[str, object]]) -> tuple[LocalImage, ...]:
    """What podman's list says, one entry for each name."""
    ours = tuple(f"{name}:" for name in _NAMES)
    images = {}
    for one in found:
        names, size = one.get("Names"), one.get("Size")
        for name in names if isinstance(names, list) else ():
            if str(name).startswith(ours):
                images[str(name)] = LocalImage(str(name), str(one.get("Id", "")), size if isinstance(size, int) else 0)
    return tuple(images[name] for name in sorted(images))


def stale(images: Iterable[LocalImage], keep: Collection[str]) -> tuple[LocalImage, ...]:
    """Those that are not among the names to keep."""
    return tuple(image for image in images if image.name not in keep)


async def remove(image: LocalImage) -> str:
    """Remove it; gives why it stays where a container uses it. Raises ImageError without podman."""
    try:
        await podman(("rmi", image.name))
    except CommandFailed as exc:
        return stop_words(exc.stderr, 1)
    return ""
