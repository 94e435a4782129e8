"""Builds the images of a session with a plain shell as its agent into Podman's storage, where they are missing.

Beforehand and for itself, because building needs the resolver of this machine, and sessions under test must not have
it: `python tests/podman_images.py`, with the settings that builds read from the environment.
"""

from __future__ import annotations

import sys

import anyio

from paude.images.build import BuildSettings, build, in_storage, local_name, tag_of
from paude.settings import Paths, read


async def main() -> None:
    paths = Paths.from_environment()
    settings = BuildSettings.of(read(paths, None).values, cache=paths.cache)
    for image in (settings.image("gate"), settings.image("proxy"), settings.image("agent", "shell")):
        tag = await tag_of(image, settings)
        if not await in_storage(local_name(image, tag)):
            await build(image, tag, settings)
        sys.stdout.write(f"{local_name(image, tag)}\n")


if __name__ == "__main__":
    anyio.run(main)
