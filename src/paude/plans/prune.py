"""`paude prune`: which of paude's images on this machine no start would use any more.

A start's images follow from what the user sets, and what the workspaces of the sessions here say. One that builds an
image itself names it only once that is built, which looking must not do: then every agent's image stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError
from paude.images import prune as images
from paude.images.build import BuildSettings
from paude.images.prune import LocalImage
from paude.plans.request import build_of, project_of
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read


@dataclass(frozen=True)
class Needed:
    """The names of images that starts would use; not `complete` when those of some agents are not known."""

    names: frozenset[str]
    complete: bool


async def needed(paths: Paths) -> Needed:
    """What starts without a workspace's wishes, and those of the sessions here, would use. Raises SettingsError."""
    names = await images.wanted(BuildSettings.of(read(paths, None).values, cache=paths.cache))
    complete = True
    for record in records.load_all(paths):
        build = _of_session(record, paths) if isinstance(record, Record) else None
        if build is None or build.project.build is not None:
            complete = False
        else:
            names |= await images.wanted(build)
    return Needed(frozenset(names), complete)


async def stale(paths: Paths, *, every: bool) -> tuple[LocalImage, ...]:
    """The images that may go; with `every` all of them. Raises ImageError, SettingsError."""
    found = await images.present()
    return found if every else left(found, await needed(paths))


def left(found: Iterable[LocalImage], needed: Needed) -> tuple[LocalImage, ...]:
    """Those that nothing needs, as far as that is known."""
    stale = images.stale(found, needed.names)
    return stale if needed.complete else tuple(image for image in stale if not image.of_project)


def _of_session(record: Record, paths: Paths) -> BuildSettings | None:
    """How its next start would build; None when its workspace does not say so understandably."""
    try:
        settled = read(paths, Path(record.workspace))
        return build_of(settled.values, project_of(Path(record.workspace), settled), paths)
    except SettingsError:
        return None
