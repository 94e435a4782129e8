"""`paude prune`: make room where images are built."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli.app import in_loop, put, say
from paude.cli.output import LISTING, Listing, checked, document, table
from paude.cli.verb import Verb

if TYPE_CHECKING:
    from paude.images.prune import LocalImage

SCHEMA = 1


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(prune)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, and remove nothing.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also those that the next start would use.")] = False,
    output: Listing = "text",
) -> None:
    """Remove paude's own images from this machine's podman that no start would use any more.

    What the workspaces of your sessions want counts; for another project it is built anew. An image that a container
    uses stays. Images in registries are not touched.
    """
    output = checked(output, LISTING)
    stale = in_loop(lambda: _stale(every))
    if not dry_run:
        stale = tuple(image for image in stale if not _kept(image))
    _print(stale, output)
    if output == "text":
        size = sum({image.identity: image.size for image in stale}.values())
        say(f"{'would remove' if dry_run else 'removed'} {len(stale)} names, at most {size / 1e6:.0f} MB")


async def _stale(every: bool) -> tuple[LocalImage, ...]:
    from paude.plans import prune as plan
    from paude.settings import Paths

    return await plan.stale(Paths.from_environment(), every=every)


def _kept(image: LocalImage) -> bool:
    from paude.images import prune as images

    why = in_loop(lambda: images.remove(image))
    if why:
        say(f"{image.name} stays: {why}")
    return bool(why)


def _print(stale: tuple[LocalImage, ...], output: str) -> None:
    if document(output, {"schema": SCHEMA, "images": [asdict(image) for image in stale]}):
        return
    if output == "name":
        for image in stale:
            put(image.name)
    elif stale:
        table(("IMAGE", "SIZE"), [(image.name, f"{image.size / 1e6:.0f} MB") for image in stale])
