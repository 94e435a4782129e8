"""The steps of `paude start` on a cluster. Each does one thing; `plans/start.py` says in which order.

A durable step takes back what this run made, and only that: everything of a session that is new here carries a uid
made for it, so whatever bears that uid is this run's. Of a session that was there before, only what a POST created
is taken back. Namespace, baseline and proxy are never taken back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from paude import report
from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import kubeconfig, manifests, namespaces, ownership, pods, reasons, registry
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import Identity, PodSpec, Resources
from paude.backends.kubernetes.namespaces import Namespace
from paude.backends.kubernetes.pods import Pod
from paude.egress import policies, squid
from paude.egress.allowlist import Allowlist
from paude.errors import ImageError, Leftover, PaudeError
from paude.images import ensure, logins
from paude.images.build import BuildSettings
from paude.images.context import ImageSpec
from paude.images.reference import Pushed, RegistryTarget
from paude.settings import Paths
from paude.ssh.session_keys import SessionKeys

UNDO_S = 15.0
GATE_GRACE_S = 1


@dataclass(frozen=True)
class Request:
    """What the user asked for, complete: everything that the steps need to know."""

    identity: Identity
    fresh: bool
    kubeconfigs: tuple[Path, ...]
    context: str | None
    namespace: str | None
    workspace: Path
    agent: str
    command: Sequence[str]
    allowlist: Allowlist
    walled: bool
    gate_image: ImageSpec
    agent_image: ImageSpec
    proxy_image: ImageSpec
    registry: RegistryTarget | None
    build: BuildSettings
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    storage_class: str | None = None
    pull_secret: str | None = None
    create_namespace: bool = False
    runtime_class: str | None = None


@dataclass(frozen=True)
class Anchor:
    """The session as the cluster knows it: the object that holds its name, and where it is."""

    namespace: Namespace
    object: Object

    @property
    def cluster(self) -> Cluster:
        """The connection."""
        return self.namespace.cluster


class Start:
    """The steps, for one request."""

    def __init__(self, request: Request, paths: Paths) -> None:
        self._request = request
        self._paths = paths

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Cluster]:
        """Open the connection that the kubeconfig describes."""
        wanted = self._request
        target = kubeconfig.choose(wanted.kubeconfigs, context=wanted.context, namespace=wanted.namespace)
        async with clusters.connected(target, self._paths) as cluster:
            report.line(f"{target.server}, namespace {target.namespace}, as {target.user}")
            yield cluster

    async def ensure_namespace(self, cluster: Cluster) -> Namespace:
        """Find the namespace, or make it where that was asked for."""
        return await namespaces.ensure(cluster, create=self._request.create_namespace)

    @asynccontextmanager
    async def find_registry(self, cluster: Cluster) -> AsyncIterator[RegistryTarget]:
        """Where images are pushed to and pulled from."""
        async with registry.target(cluster, self._request.registry, self._paths) as target:
            yield await ensure.with_login(target)

    @asynccontextmanager
    async def create_anchor(self, namespace: Namespace) -> AsyncIterator[Anchor]:
        """Take the session's name: the first POST wins it."""
        obj = manifests.anchor(self._request.identity, self._facts())
        async with self._durable(namespace.cluster, obj) as made:
            yield Anchor(namespace, made)

    def _facts(self) -> Mapping[str, str]:
        wanted = self._request
        return {
            "agent": wanted.agent,
            "workspace": str(wanted.workspace),
            "allowlist": ",".join(wanted.allowlist.hosts),
            "wall": "closed" if wanted.walled else "open",
        }

    async def apply_baseline_policy(self, namespace: Namespace) -> None:
        """Deny everything to every walled pod of the namespace, for ever."""
        policy = policies.baseline(namespace.name, manifests.common_labels("policy"))
        await ownership.ensure_shared(namespace.cluster, policy)

    @asynccontextmanager
    async def reserve_proxy_address(self, anchor: Anchor) -> AsyncIterator[str | None]:
        """The session's own address of its proxy; it is known before any proxy runs."""
        if not self._request.walled:
            yield None
            return
        service = manifests.proxy_service(self._request.identity, self._proxy, anchor.object)
        async with self._durable(anchor.cluster, service) as made:
            yield str(made["spec"]["clusterIP"])

    @property
    def _proxy(self) -> str:
        return squid.identity(self._request.allowlist)

    async def push_gate_image(self, target: RegistryTarget) -> Pushed:
        """The gate's image in the registry."""
        return await self._push(self._request.gate_image, target)

    async def push_proxy_image(self, target: RegistryTarget) -> Pushed:
        """The proxy's image in the registry."""
        return await self._push(self._request.proxy_image, target)

    async def push_agent_image(self, target: RegistryTarget) -> Pushed:
        """The agent's image in the registry."""
        return await self._push(self._request.agent_image, target)

    async def _push(self, spec: ImageSpec, target: RegistryTarget) -> Pushed:
        return await ensure.ensure(spec, target, self._request.build)

    async def name_agent_image(self, target: RegistryTarget) -> str:
        """The name that the agent's image will have; nothing is built or pushed for it."""
        image = self._request.agent_image
        return str(target.pull_reference(image.name, await ensure.tag_of(image, self._request.build)))

    async def find_pull_secret(self, anchor: Anchor, target: RegistryTarget) -> tuple[str, ...]:
        """The pull secret: the one named, else the service account's, else one made from the push login."""
        if self._request.pull_secret:
            return (self._request.pull_secret,)
        account = await anchor.cluster.get("ServiceAccount", "default") or {}
        if present := account.get("imagePullSecrets"):
            return tuple(str(entry["name"]) for entry in present)
        if target.login is None:
            return ()
        name = manifests.resource_name(self._request.identity.name, "pull")
        host = (target.pull_from or target.host_and_path).partition("/")[0]
        data = {".dockerconfigjson": logins.dockerconfigjson(target.login, host)}
        kind = "kubernetes.io/dockerconfigjson"
        await ownership.ensure(
            anchor.cluster, manifests.secret(self._request.identity, "pull", data, anchor.object, kind)
        )
        report.line(f"made the pull secret {name} from your login to {target.host}; it goes with the session")
        return (name,)

    async def roll_out_proxy(self, namespace: Namespace, image: Pushed, pull: tuple[str, ...]) -> None:
        """The proxy of this allowlist, ready; the next session with the same list finds it warm."""
        if not self._request.walled:
            return
        cluster, digest = namespace.cluster, self._proxy
        files = squid.files(self._request.allowlist)
        settings = manifests.proxy_settings(digest, files["squid.conf"], files["allowlist"])
        rules = policies.proxy(digest, namespace.name, manifests.proxy_labels(digest))
        deployment = manifests.proxy_deployment(
            digest, image.reference, ids_assigned=namespace.ids_assigned, pull_secrets=pull
        )
        async with anyio.create_task_group() as tasks:
            for obj in (settings, rules, deployment):
                tasks.start_soon(ownership.ensure_shared, cluster, obj)
        await pods.until_available(cluster, manifests.proxy_name(digest))

    @asynccontextmanager
    async def apply_session_policy(
        self, anchor: Anchor, baseline: None, address: str | None
    ) -> AsyncIterator[str | None]:
        """Open the one way out, to the proxy; gives the proxy's address on, now that the rule for it stands."""
        if address is None:
            yield None
            return
        who = self._request.identity
        labels = manifests.labels(who, "policy")
        policy = policies.session(who.name, who.uid, anchor.namespace.name, labels, self._proxy)
        policy["metadata"]["ownerReferences"] = [manifests.owner_reference(anchor.object)]
        async with self._durable(anchor.cluster, policy):
            yield address

    @asynccontextmanager
    async def apply_secrets(self, anchor: Anchor, keys: SessionKeys) -> AsyncIterator[None]:
        """The ssh keys of both ends, and what the agent works with."""
        who = self._request.identity
        contents = {"gate": keys.gate_secret(), "agent": keys.agent_secret()}
        if self._request.credentials:
            contents["credentials"] = dict(self._request.credentials)
        objects = [manifests.secret(who, part, data, anchor.object) for part, data in contents.items()]
        async with self._durable(anchor.cluster, *objects):
            yield

    @asynccontextmanager
    async def claim_volume(self, anchor: Anchor) -> AsyncIterator[None]:
        """The workspace's volume; never waited for, since many classes bind only when a pod comes."""
        wanted = self._request
        claim = manifests.volume_claim(wanted.identity, wanted.resources.storage, wanted.storage_class)
        present = await anchor.cluster.get("PersistentVolumeClaim", claim["metadata"]["name"])
        if present is not None and ownership.session_uid(present) == wanted.identity.uid:
            yield  # a claim's size and class cannot be changed by applying it again
            return
        async with self._durable(anchor.cluster, claim):
            yield

    @asynccontextmanager
    async def create_pod(
        self, gate: Pushed, image: str, address: str | None, pull: tuple[str, ...], anchor: Anchor
    ) -> AsyncIterator[Pod]:
        """Create the pod and wait until it has a node; its gate comes up next, the agent waits for its leave."""
        spec = self._pod_spec(gate, image, address, pull, anchor)
        cluster = anchor.cluster
        obj = manifests.stateful_set(spec, anchor.object)
        async with self._durable(cluster, obj, undo=self._take_back_pod(cluster)):
            await pods.replace_broken(cluster, self._request.identity.name, spec.gate_image, spec.agent_image)
            uid = await pods.until(cluster, self._request.identity.name, _has_node)
            yield Pod(cluster, pods.pod_name(self._request.identity.name), uid)

    def _pod_spec(
        self, gate: Pushed, image: str, address: str | None, pull: tuple[str, ...], anchor: Anchor
    ) -> PodSpec:
        wanted = self._request
        return PodSpec(
            identity=wanted.identity,
            gate_image=gate.reference,
            agent_image=image,
            command=wanted.command,
            proxy=address,
            allowlist=self._proxy,
            ids_assigned=anchor.namespace.ids_assigned,
            resources=wanted.resources,
            environment=wanted.environment,
            pull_secrets=pull,
            runtime_class=wanted.runtime_class,
        )

    def _take_back_pod(self, cluster: Cluster) -> Callable[[], Awaitable[None]]:
        who = self._request.identity

        async def undo() -> None:
            await ownership.remove(cluster, "StatefulSet", manifests.resource_name(who.name), who.uid)
            if not await pods.delete(cluster, who, grace_s=GATE_GRACE_S, within_s=UNDO_S):
                raise _left(cluster, "pod", pods.pod_name(who.name))

        return undo

    async def watch_gate(self, pod: Pod) -> None:
        """Until the gate runs: this is what tells why it does not. The kubelet tells of success up to 2 s late."""
        await pods.until(pod.cluster, self._request.identity.name, _gate_runs)

    async def check_agent_image(self, pod: Pod, image: Pushed) -> None:
        """What the pod runs must be what was pushed: a tag says nothing, a digest does."""

        def digest(obj: Object) -> str | None:
            status = reasons.container(obj, "agent") or {}
            return str(status["imageID"]) if status.get("imageID") else None

        running = await pods.until(pod.cluster, self._request.identity.name, digest)
        if image.digest and image.digest not in running:
            raise ImageError(
                "the pod runs another image than the one that was pushed",
                why=f"pushed {image.digest}, running {running}",
                hint="has somebody overwritten the tag in the registry?",
            )

    @asynccontextmanager
    async def _durable(
        self, cluster: Cluster, *objects: Object, undo: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[Object]:
        """Objects that stay; taken back, newest first, when the plan fails before it is committed."""
        created: list[Object] = []
        try:
            made: Object = {}
            for obj in objects:
                if self._request.fresh:
                    # The POST may arrive although its answer does not; what bears the new uid is ours in any case.
                    created.append(obj)
                result = await ownership.ensure(cluster, obj)
                if result.created and not self._request.fresh:
                    created.append(obj)
                made = result.object
            yield made
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S + 5):
                if created:
                    await (undo() if undo is not None else self._take_back(cluster, created))
            raise

    async def _take_back(self, cluster: Cluster, created: Sequence[Object]) -> None:
        failed: list[Leftover] = []
        for obj in reversed(created):
            kind, name = obj["kind"], obj["metadata"]["name"]
            try:
                await ownership.remove(cluster, kind, name, self._request.identity.uid)
            except PaudeError:
                failed.append(_leftover(cluster, kind.lower(), name))
        if failed:
            error = PaudeError("not everything could be taken back")
            error.leftovers = tuple(failed)
            raise error


def _has_node(pod: Object) -> str | None:
    if pod["metadata"].get("deletionTimestamp"):
        return None
    return str(pod["metadata"]["uid"]) if pod["spec"].get("nodeName") else None


def _gate_runs(pod: Object) -> bool | None:
    return True if _has_node(pod) and reasons.running(pod, "gate") else None


def _leftover(cluster: Cluster, kind: str, name: str) -> Leftover:
    return Leftover(kind, name, f"kubectl -n {cluster.namespace} delete {kind} {name}")


def _left(cluster: Cluster, kind: str, name: str) -> PaudeError:
    error = PaudeError(f"the {kind} {name} is still there")
    error.leftovers = (_leftover(cluster, kind, name),)
    return error
