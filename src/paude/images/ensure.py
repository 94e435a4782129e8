"""An image of ours in a registry, with as little work as that takes: ask, else build what is missing, and push."""

from __future__ import annotations

import os
from dataclasses import replace

from paude import report
from paude.errors import ImageError
from paude.images import logins
from paude.images.build import BuildSettings, build, in_storage, local_name, tag_of
from paude.images.context import ImageSpec
from paude.images.push import push
from paude.images.reference import ImageReference, Pushed, RegistryTarget
from paude.images.registry import present


async def ensure(image: ImageSpec, target: RegistryTarget, settings: BuildSettings) -> Pushed:
    """Make sure that the registry has the image; a present one costs one request.

    Raises LoginExpired, Forbidden, QuotaExceeded, ImageError or SettingsError.
    """
    tag = await tag_of(image, settings)
    target = await with_login(target)
    reference = target.reference(image.name, tag)
    digest = await present(reference, target)
    if digest is None:
        digest = await _bring(image, tag, reference, target, settings)
    return Pushed(str(target.pull_reference(image.name, tag)), digest)


async def with_login(target: RegistryTarget) -> RegistryTarget:
    """The target with the user's own login where it had none. Raises SettingsError for a broken login file."""
    if target.login is not None:
        return target
    return replace(target, login=await logins.find(target.host_and_path, os.environ))


async def _bring(
    image: ImageSpec, tag: str, reference: ImageReference, target: RegistryTarget, settings: BuildSettings
) -> str:
    local = local_name(image, tag)
    if not await in_storage(local):
        await build(image, tag, settings)
    pushed = await push(local, reference, target, settings.cache, settings.sent)
    found = await present(reference, target)
    if found is None:
        raise ImageError(f"{reference} was pushed and is not there", hint="does the registry delete images at once?")
    if found != pushed:
        # Somebody pushed the same content at the same time: the tag is what pods pull.
        report.line(f"{reference} was pushed by somebody else too; using theirs")
    return found
