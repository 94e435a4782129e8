"""The proxies of a namespace: one for each allowlist, immutable, shared by the sessions with that list."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from paude.backends.kubernetes import firewalls, manifests, ownership, pods, pull
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.namespaces import Namespace
from paude.backends.kubernetes.status import Conflict
from paude.egress import policies, squid
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import NotFound, PaudeError
from paude.settings import Settings

WANTED = "paude.io/wanted"
"""An annotation of a proxy's parts, written anew by whoever is about to use it."""
NEXT = "paude.io/next"
"""A label of a session's Service: the list that it is about to lead to."""
_TRIES = 10


@dataclass(frozen=True)
class Source:
    """What a proxy is made of: its image, the pull secrets that exist, and the content of the one to be made for it;
    resources and tolerations as they are set.
    """

    image: str
    pull_secrets: tuple[str, ...] = ()
    login: dict[str, bytes] | None = None
    settings: Settings | None = None

    def names(self, digest: str) -> Sequence[str]:
        """The pull secrets of the proxy for a list; the one that is made is no session's: it has to outlive them."""
        return self.pull_secrets if self.login is None else (*self.pull_secrets, manifests.proxy_pull_secret(digest))


async def roll_out(namespace: Namespace, allowlist: Allowlist, company: Company, source: Source) -> None:
    """The proxy of a list, ready; one that is there already is found warm.

    The caller's Service names the list already: whoever takes unused proxies away at this moment leaves this one, or
    it is made again.
    """
    digest = squid.identity(allowlist, squid.Options.of(company))
    made = objects(namespace.name, allowlist, company, source, ids_assigned=namespace.ids_assigned)
    for _ in range(_TRIES):
        if source.login is not None:
            # Before the pod: a kubelet that does not find it pulls without, and a refused pull ends the start.
            await _ensure(namespace.cluster, pull.proxy_secret(digest, source.login))
        async with anyio.create_task_group() as tasks:
            for obj in made:
                tasks.start_soon(_ensure, namespace.cluster, obj)
        if await pods.until_available(namespace.cluster, made[-1]):
            return
    raise PaudeError(
        f"the proxy {manifests.proxy_name(digest)} is deleted again and again",
        why="something else in the namespace takes it away",
        hint="try again",
    )


async def _ensure(cluster: Cluster, obj: Object) -> None:
    """A part of a proxy, marked anew: whoever had found it unused before cannot delete it any more."""
    meta = {**obj["metadata"], "annotations": {WANTED: secrets.token_hex(8)}}
    await ownership.ensure_shared(cluster, {**obj, "metadata": meta})


def objects(
    namespace: str,
    allowlist: Allowlist,
    company: Company,
    source: Source,
    *,
    ids_assigned: bool,
) -> list[Object]:
    """The proxy of a list as manifests, its Deployment last. Pure."""
    options = squid.Options.of(company)
    digest, files = squid.identity(allowlist, options), squid.files(allowlist, options)
    return [
        manifests.proxy_settings(digest, files["squid.conf"], files["allowlist"]),
        policies.proxy(digest, namespace, manifests.proxy_labels(digest), company=company),
        manifests.proxy_deployment(
            digest,
            source.image,
            ids_assigned=ids_assigned,
            pull_secrets=source.names(digest),
            settings=source.settings,
        ),
    ]


async def source_of(cluster: Cluster, digest: str) -> Source:
    """What a running proxy is made of, to make another like it without a registry at hand. Raises NotFound."""
    deployment = await cluster.get("Deployment", manifests.proxy_name(digest))
    if deployment is None:
        raise NotFound(
            f"the proxy {manifests.proxy_name(digest)} of this session has gone", hint="`paude start` puts it back"
        )
    spec = deployment["spec"]["template"]["spec"]
    names = [str(one["name"]) for one in spec.get("imagePullSecrets") or ()]
    made = manifests.proxy_pull_secret(digest)
    login = None
    if made in names:
        secret = await cluster.get("Secret", made)
        # One that somebody removed cannot be made again from here: the nodes may have the image.
        login = {key: base64.b64decode(text) for key, text in ((secret or {}).get("data") or {}).items()} or None
    own = tuple(name for name in names if name != made)
    return Source(spec["containers"][0]["image"], own, login, manifests.proxy_settings_of(deployment))


async def pods_of(cluster: Cluster, digest: str) -> list[Object]:
    """Its pods, those that are about to end too."""
    return await cluster.list("Pod", f"paude.io/role=proxy,paude.io/allowlist={digest}")


async def pod_address(cluster: Cluster, digest: str) -> str:
    """The address of a pod of it that is ready. Raises PaudeError when there is none."""
    for pod in await pods_of(cluster, digest):
        if pods.is_ready(pod) and not pod["metadata"].get("deletionTimestamp"):
            return str(pod["status"]["podIP"])
    raise PaudeError(f"the proxy {manifests.proxy_name(digest)} is not ready", hint="try again")


async def users(cluster: Cluster, digest: str) -> list[str]:
    """The sessions whose address leads to it, or is about to."""
    services = await cluster.list("Service", "app.kubernetes.io/managed-by=paude,app.kubernetes.io/component=proxy")
    labels: list[dict[str, str]] = [service["metadata"]["labels"] for service in services]
    using = [one for one in labels if digest in (one.get("paude.io/serves"), one.get(NEXT))]
    return sorted(one.get("paude.io/session", "") for one in using)


async def remove_unused(cluster: Cluster, digest: str, *, within_s: float | None = None, leaving: str = "") -> bool:
    """Take the proxy away unless a session uses it. `leaving` is a session that does not count: it is about to go.

    With `within_s` it returns when the proxy's pods, and so the tunnels through them, have gone.
    """
    if not digest:
        return False
    name = manifests.proxy_name(digest)
    there = await pods_of(cluster, digest)
    if not await _removed(cluster, "Deployment", name, digest, leaving):
        return False
    if within_s is not None:
        await _gone(cluster, there, within_s)
    for kind, part in (("ConfigMap", name), ("NetworkPolicy", name), ("Secret", manifests.proxy_pull_secret(digest))):
        if not await _removed(cluster, kind, part, digest, leaving):
            return True  # another session came meanwhile: its proxy has the same policy and settings
    if not await cluster.list("Deployment", "paude.io/role=proxy"):
        await firewalls.remove(cluster)
    return True


async def _removed(cluster: Cluster, kind: str, name: str, digest: str, leaving: str) -> bool:
    """Delete a part of an unused proxy; False when a session uses it, also one that came at this very moment.

    Such a one names the list in its Service first and marks every part then. So a part that is still as it was
    before the Services were asked is nobody's.
    """
    for _ in range(_TRIES):
        present = await cluster.get(kind, name)
        if set(await users(cluster, digest)) - {leaving}:
            return False
        if present is None:
            return True
        with suppress(Conflict):  # marked, or only its status changed
            await cluster.delete(kind, name, version=str(present["metadata"]["resourceVersion"]))
            return True
    return False


async def start_anew(cluster: Cluster, digest: str, *, within_s: float) -> None:
    """Replace its pods, the new before the old; returns when the old ones, and their tunnels, have gone."""
    there = await pods_of(cluster, digest)
    mark = {"paude.io/started-anew": datetime.now(UTC).isoformat()}
    patch = {"spec": {"template": {"metadata": {"annotations": mark}}}}
    await cluster.merge("Deployment", manifests.proxy_name(digest), patch)
    await _gone(cluster, there, within_s)


async def _gone(cluster: Cluster, there: Sequence[Object], within_s: float) -> None:
    left: list[str] = []

    async def wait(pod: Object) -> None:
        name, uid = str(pod["metadata"]["name"]), str(pod["metadata"]["uid"])
        if not await ownership.gone(cluster, "Pod", name, uid, within_s):
            left.append(name)

    async with anyio.create_task_group() as tasks:
        for pod in there:
            tasks.start_soon(wait, pod)
    if left:
        raise PaudeError(
            f"the pod {left[0]} of the former proxy is still there after {within_s:.0f} s",
            why="tunnels through it may be open",
            hint=f"kubectl -n {cluster.namespace} delete pod {left[0]} --force",
        )
