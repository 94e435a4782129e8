"""`paude cleanup`: the relays to a cluster's registry that killed starts of this laptop left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from paude.errors import PaudeError
from paude.plans.listing import PATIENCE_S, targets
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths

if TYPE_CHECKING:
    from paude.backends.kubernetes.kubeconfig import Target

WHY = "the start that pushed through it was killed"


@dataclass(frozen=True)
class Left:
    """A relay's pod, and where it is."""

    target: Target
    pod: dict[str, Any]

    @property
    def name(self) -> str:
        """What the pod is called."""
        return str(self.pod["metadata"]["name"])


async def survey(paths: Paths) -> tuple[list[Left], list[str]]:
    """Ask every namespace that this machine knows; gives also which could not be asked, and why."""
    from paude.backends.kubernetes import relay
    from paude.backends.kubernetes.cluster import connected

    found: list[Left] = []
    troubles: list[str] = []

    async def ask(target: Target) -> None:
        try:
            with anyio.fail_after(PATIENCE_S):
                async with connected(target, paths) as cluster:
                    found.extend(Left(target, pod) for pod in await relay.left(cluster, paths))
        except (PaudeError, TimeoutError) as error:
            troubles.append(f"{target.server}, namespace {target.namespace}: {error or 'no answer'}")

    known = [one for one in records.load_all(paths) if isinstance(one, Record)]
    async with anyio.create_task_group() as tasks:
        for target in targets(known, paths, [], alone=False):
            tasks.start_soon(ask, target)
    return sorted(found, key=lambda one: one.name), troubles


async def remove(left: list[Left], paths: Paths, tell: Callable[[str], None], *, limit_s: float) -> list[PaudeError]:
    """Take them away, one after the other; gives the errors of those that resisted."""
    from paude.backends.kubernetes import relay
    from paude.backends.kubernetes.cluster import connected

    failed: list[PaudeError] = []
    for one in left:
        try:
            with anyio.fail_after(limit_s):
                async with connected(one.target, paths) as cluster:
                    await relay.take_away(cluster, one.pod)
        except (PaudeError, TimeoutError) as error:
            failed.append(error if isinstance(error, PaudeError) else PaudeError(f"no answer within {limit_s:.0f} s"))
            tell(f"{one.name} was not removed: {failed[-1]}")
            continue
        tell(f"{one.name} is gone ({WHY})")
    return failed
