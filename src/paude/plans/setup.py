"""`paude setup`: find out where sessions can run and with what, ask where there is a choice, and give the settings.

May be repeated: what is set already is the answer, and what is there already is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paude.backends import KUBERNETES, PODMAN
from paude.errors import Forbidden, PaudeError, SettingsError
from paude.plans import doctor
from paude.plans.doctor import Check
from paude.plans.request import owner
from paude.settings import Paths, Settings

if TYPE_CHECKING:
    from paude.backends.kubernetes.cluster import Cluster
    from paude.backends.kubernetes.kubeconfig import Target

Ask = Callable[[str, Sequence[str], str], str]
"""A question, the answers that are known (none: anything), and the one that is taken without asking."""
Tell = Callable[[Check], None]


class RightsMissing(Forbidden):
    """The user lacks rights in the namespace; `role` is what an administrator would apply."""

    def __init__(self, namespace: str, role: str) -> None:
        super().__init__(
            f"rights are missing in the namespace {namespace}",
            hint="give the Role on standard output to who administers the cluster, then repeat `paude setup`",
        )
        self.role = role


@dataclass(frozen=True)
class Setup:
    """One run: what is set so far, whom to ask, whom to tell."""

    settings: Settings
    paths: Paths
    ask: Ask
    tell: Tell

    async def run(self) -> dict[str, object]:
        """The settings to be written. Raises PaudeError for what stands in the way."""
        if self._backend() == PODMAN:
            return await self._podman()
        return await self._cluster()

    def _backend(self) -> str:
        if self.settings.backend:
            return PODMAN if self.settings.backend == PODMAN else KUBERNETES
        places = [KUBERNETES] if self._kubeconfig_is_there() else []
        places += [PODMAN] if shutil.which("podman") else []
        if not places:
            raise SettingsError(
                "there is neither a kubeconfig nor podman", hint="log in to a cluster, or install podman"
            )
        return self.ask("Where do sessions run", places, places[0]) if len(places) > 1 else places[0]

    def _kubeconfig_is_there(self) -> bool:
        try:
            self._target(self.settings.context or None, None)
        except PaudeError:
            return False
        return True

    async def _podman(self) -> dict[str, object]:
        from paude.backends.podman import engine

        found = await engine.usable()
        self.tell(doctor.ok("podman", f"version {found.version}"))
        return {"backend": PODMAN}

    async def _cluster(self) -> dict[str, object]:
        from paude.backends.kubernetes import cluster as clusters

        context = self._context()
        decided: dict[str, object] = {"backend": self.settings.backend or KUBERNETES, "context": context}
        async with clusters.connected(self._target(context, None), self.paths) as cluster:
            namespace = await self._namespace(cluster)
        async with clusters.connected(self._target(context, namespace), self.paths) as cluster:
            await self._use_namespace(cluster)
            decided |= {"namespace": namespace} | await self._registry(cluster) | await self._storage(cluster)
            for check in [*await doctor.policies(cluster), *await doctor.quota(cluster, self.settings)]:
                self.tell(check)
        return decided

    def _target(self, context: str | None, namespace: str | None) -> Target:
        from paude.backends.kubernetes import kubeconfig

        return kubeconfig.choose(self._files(), context=context, namespace=namespace)

    def _files(self) -> tuple[Path, ...]:
        from paude.backends.kubernetes import kubeconfig

        return kubeconfig.files_of(self.settings)

    def _context(self) -> str:
        from paude.backends.kubernetes import kubeconfig

        if self.settings.context:
            return self.settings.context
        current, known = self._target(None, None).context, kubeconfig.contexts(self._files())
        return self.ask("Which context", known, current) if len(known) > 1 else current

    async def _namespace(self, cluster: Cluster) -> str:
        from paude.backends.kubernetes import rights

        self.tell(doctor.ok("cluster", f"{cluster.target.server} takes you for {await rights.user(cluster)}"))
        if self.settings.namespace:
            return self.settings.namespace
        own = own_namespace()
        proposed = own if await rights.may_make_namespace(cluster) else cluster.namespace
        return self.ask("Which namespace", (), proposed)

    async def _use_namespace(self, cluster: Cluster) -> None:
        from paude.backends.kubernetes import namespaces, rights, surroundings

        found = await namespaces.ensure(cluster, create=await rights.may_make_namespace(cluster))
        rules = await rights.needed(cluster, own_registry=not self.settings.registry)
        if await rights.missing(cluster, rules):
            raise RightsMissing(found.name, rights.role(rules, found.name, await rights.user(cluster)))
        self.tell(doctor.ok("namespace", f"{found.name}, with all the rights that sessions need"))
        for check in shared_or_unknown(found.name, await surroundings.others_who_may_read_secrets(cluster)):
            self.tell(check)

    async def _registry(self, cluster: Cluster) -> dict[str, object]:
        named = self.settings.registry
        if not named and not await cluster.exists("image.openshift.io/v1"):
            named = self.ask("Which registry (HOST[:PORT]/PATH)", (), "")
            if not named:
                raise SettingsError("paude needs a registry for its images", hint="name one with --registry HOST/PATH")
        decided: dict[str, object] = {"registry": named} if named else {}
        if self.settings.registry_ca:
            decided["registry_ca"] = self.settings.registry_ca
        for check in await doctor.registry_of_cluster(cluster, named, self.settings.registry_ca, self.paths):
            self.tell(check)
            if check.result == "failed":
                raise SettingsError("the registry cannot be used", why=check.seen, hint=check.remedy)
        return decided

    async def _storage(self, cluster: Cluster) -> dict[str, object]:
        from paude.backends.kubernetes import surroundings

        found, wanted = await surroundings.storage(cluster), self.settings.storage.storage_class
        if not wanted and found.seen and not found.default and found.names:
            wanted = self.ask("Which storage class", found.names, found.names[0])
        check = doctor.storage_check(found, wanted)
        self.tell(check)
        if check.result == "failed":
            raise SettingsError(check.seen, hint=check.remedy)
        return {"storage.class": wanted} if wanted else {}


def own_namespace() -> str:
    """The namespace that is proposed: paude's, for this user alone."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in owner().lower()).strip("-")
    return f"paude-{plain[:50]}"


def shared_or_unknown(namespace: str, others: tuple[str, ...] | None) -> list[Check]:
    """The warning about a namespace that others use; where that may not be seen, about any that is not one's own."""
    if others is None and namespace != own_namespace():
        seen = f"everyone with `edit` in {namespace} can read the Secrets of your sessions"
        return [Check("namespace", "warning", seen, f"{own_namespace()} would be your own")]
    return doctor.shared(namespace, others)
