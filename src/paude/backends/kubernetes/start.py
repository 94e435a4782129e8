"""The steps of `paude start` on a cluster. Each does one thing; `plans/start.py` says in which order.

A durable step takes back what this run made, and only that: everything of a session that is new here carries a uid
made for it, so whatever bears that uid is this run's. Of a session that was there before, only what a POST created
is taken back. Namespace and baseline are never taken back, a proxy only when nobody else uses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio

from paude import report
from paude.backends import request
from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import (
    durable,
    firewalls,
    fitting,
    kubeconfig,
    manifests,
    namespaces,
    ownership,
    pods,
    policies_of_others,
    proxies,
    pull,
    reasons,
    registry,
    surroundings,
    wall,
)
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.durable import UNDO_S, Undo
from paude.backends.kubernetes.kubeconfig import Target
from paude.backends.kubernetes.manifests import Identity, PodSpec
from paude.backends.kubernetes.namespaces import Namespace
from paude.backends.kubernetes.pods import Pod
from paude.backends.kubernetes.pull import PullAccess
from paude.egress import policies
from paude.errors import ImageError, NameTaken, PaudeError, QuotaExceeded
from paude.images import ensure
from paude.images.build import tag_of
from paude.images.context import ImageSpec
from paude.images.reference import Pushed, RegistryTarget
from paude.images.registry import present
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.session_keys import SessionKeys

GATE_GRACE_S = 1
ROOM_S = 30.0
"""For so long pods that are ending are waited for: as long as Kubernetes gives a pod that asks for nothing else."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Request(request.Request):
    """What the user asked for of a cluster: where to, from which registry, and what else it keeps."""

    kubeconfigs: tuple[Path, ...]
    context: str | None
    namespace: str | None
    registry: RegistryTarget | None
    create_namespace: bool = False
    resumes: Record | None = None
    remembered: bytes = field(default=b"", repr=False)
    """The record, for the user's other laptops."""

    @property
    def identity(self) -> Identity:
        """Whose session this is, with the user's own labels."""
        return Identity(self.name, self.uid, self.owner, self.settings.pod.labels)

    def facts(self) -> Mapping[str, str]:
        """What the session's anchor tells of it."""
        return {
            "agent": self.agent,
            "workspace": str(self.workspace),
            "allowlist": ",".join(self.allowlist.hosts),
            "company": self.company.as_json(with_bundle=False),
            "wall": "closed" if self.walled else "open",
        }

    def secrets(self, keys: SessionKeys, anchor: Object) -> list[Object]:
        """The Secrets of the session: the ssh keys of both ends, and what each works with.

        `laptop` is for the user's other laptops: no pod mounts it.
        """
        contents = {"gate": keys.gate_secret(), "agent": keys.agent_secret()}
        contents["laptop"] = {**keys.laptop_secret(), "record.json": self.remembered}
        given = {"credentials": self.credentials, "kept": self.kept}
        contents |= {part: dict(data) for part, data in given.items() if data}
        return [manifests.secret(self.identity, part, data, anchor) for part, data in contents.items()]

    def pod_spec(
        self, gate: str, agent: str, address: str | None, *, ids_assigned: bool, pull_secrets: Sequence[str]
    ) -> PodSpec:
        """The pod, from the images' references and the address of its proxy."""
        return PodSpec(
            identity=self.identity,
            gate_image=gate,
            agent_image=agent,
            command=self.command,
            proxy=address,
            allowlist=self.serves,
            ids_assigned=ids_assigned,
            resources=self.settings.resources,
            environment=self.environment,
            pull_secrets=pull_secrets,
            pod=self.settings.pod,
            life=self.settings.lifecycle,
            storage=self.settings.storage,
        )


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
        target = self._target()
        async with clusters.connected(target, self._paths) as cluster:
            report.line(f"{target.server}, namespace {target.namespace}, as {target.user}")
            yield cluster

    def _target(self) -> Target:
        """A new session goes where the flags and the context say; a resumed one is where its volume is."""
        wanted, known = self._request, self._request.resumes
        if known is None:
            return kubeconfig.choose(wanted.kubeconfigs, context=wanted.context, namespace=wanted.namespace)
        same = wanted.namespace in {None, known.namespace}
        if wanted.context is not None:
            same = same and kubeconfig.choose(wanted.kubeconfigs, context=wanted.context).server == known.server
        if not same:
            raise _elsewhere(known)
        return kubeconfig.find(wanted.kubeconfigs, server=known.server, user=known.user, namespace=known.namespace)

    async def ensure_namespace(self, cluster: Cluster) -> Namespace:
        """Find the namespace, or make it where that was asked for."""
        return await namespaces.ensure(cluster, create=self._request.create_namespace)

    @asynccontextmanager
    async def find_registry(self, cluster: Cluster) -> AsyncIterator[RegistryTarget]:
        """Where images are pushed to and pulled from."""
        wanted, session = self._request.registry, self._request.identity.name
        async with registry.target(cluster, wanted, self._paths, session=session) as target:
            yield await ensure.with_login(target)

    @asynccontextmanager
    async def create_anchor(self, namespace: Namespace) -> AsyncIterator[Anchor]:
        """Take the session's name: the first POST wins it."""
        if not self._request.fresh:
            await wall.refuse_switch(namespace.cluster, self._request.identity, walled=self._request.walled)
        obj = manifests.anchor(self._request.identity, self._request.facts())
        async with self._durable(namespace.cluster, obj) as made:
            yield Anchor(namespace, made)

    async def apply_baseline_policy(self, namespace: Namespace) -> None:
        """Deny everything to every walled pod of the namespace, for ever."""
        policy = policies.baseline(namespace.name, manifests.common_labels("policy"))
        await ownership.ensure_shared(namespace.cluster, policy)

    async def apply_egress_firewall(self, namespace: Namespace) -> None:
        """One limit more, below the policies, where the cluster has such a thing; a start does not depend on it."""
        await firewalls.ensure(namespace.cluster, self._request.company)

    async def check_policies_of_others(self, namespace: Namespace) -> None:
        """Refuse a namespace where somebody else's policy opens the wall; name those that let others in."""
        if not self._request.walled:
            return
        seen = await policies_of_others.look(namespace.cluster, self._request.identity, self._proxy, running=False)
        seen.refuse()
        for warning in seen.warnings:
            report.line(f"warning: {warning}")

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
        return self._request.serves

    async def push_gate_image(self, target: RegistryTarget) -> Pushed:
        """The gate's image in the registry."""
        return await self._push(self._request.gate_image, target)

    async def push_proxy_image(self, target: RegistryTarget) -> Pushed:
        """The proxy's image in the registry."""
        return await self._push(self._request.proxy_image, target)

    async def find_agent_image(self, target: RegistryTarget) -> Pushed:
        """The name that the agent's image has, or will have; one that is there already is named by its digest too.

        Nothing is built or pushed for it.
        """
        image = self._request.agent_image
        tag = await tag_of(image, self._request.build)
        digest = await present(target.reference(image.name, tag), target)
        return _pinned(Pushed(str(target.pull_reference(image.name, tag)), digest or ""))

    async def push_agent_image(self, target: RegistryTarget, found: Pushed) -> Pushed:
        """The agent's image in the registry, under the name that the pod knows."""
        if found.digest:
            return found
        pushed = await ensure.ensure(self._request.agent_image, target, self._request.build)
        return Pushed(found.reference, pushed.digest)

    async def _push(self, spec: ImageSpec, target: RegistryTarget) -> Pushed:
        return _pinned(await ensure.ensure(spec, target, self._request.build))

    async def find_pull_secret(self, anchor: Anchor, target: RegistryTarget) -> PullAccess:
        """The pull secret: the one named, else the service account's, else one made from the push login."""
        found = await pull.access(anchor.cluster, target, self._request.settings.pull_secret or None)
        if found.data is not None:
            who, name = self._request.identity, self._pull_secret
            secret = manifests.secret(who, "pull", found.data, anchor.object, pull.SECRET_TYPE)
            await ownership.ensure(anchor.cluster, secret)
            report.line(f"made the pull secret {name} from your login to {target.host}; it goes with the session")
        return found

    @property
    def _pull_secret(self) -> str:
        return manifests.resource_name(self._request.identity.name, "pull")

    @asynccontextmanager
    async def roll_out_proxy(self, namespace: Namespace, image: Pushed, access: PullAccess) -> AsyncIterator[None]:
        """The proxy of this allowlist, ready; the next session with the same list finds it warm.

        Taken back only when no other session's address leads to it.
        """
        if not self._request.walled:
            yield
            return
        login = dict(access.data) if access.data is not None else None
        source = proxies.Source(image.reference, access.present, login, self._request.settings)
        try:
            known = self._request
            await self._with_room(
                namespace.cluster, lambda: proxies.roll_out(namespace, known.allowlist, known.company, source)
            )
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S):
                leaving = self._request.identity.name if self._request.fresh else ""
                await proxies.remove_unused(namespace.cluster, self._proxy, leaving=leaving)
            raise

    @asynccontextmanager
    async def apply_session_policy(self, anchor: Anchor, address: str | None) -> AsyncIterator[str | None]:
        """Open the one way out, to the proxy; gives the proxy's address on, now that the rule for it stands."""
        if address is None:
            yield None
            return
        who = self._request.identity
        labels = manifests.labels(who, "policy")
        policy = policies.session(who.name, who.uid, anchor.namespace.name, labels, self._proxy)
        policy["metadata"]["ownerReferences"] = [manifests.owner_reference(anchor.object)]
        async with self._durable(anchor.cluster, policy):
            if not self._request.fresh:
                await wall.label(anchor.cluster, who, self._proxy)  # a pod that runs may have had another list
            yield address

    @asynccontextmanager
    async def apply_secrets(self, anchor: Anchor, keys: SessionKeys) -> AsyncIterator[None]:
        """The ssh keys of both ends, and what the agent works with."""
        objects = self._request.secrets(keys, anchor.object)
        async with self._durable(anchor.cluster, *objects):
            yield

    @asynccontextmanager
    async def claim_volume(self, anchor: Anchor) -> AsyncIterator[None]:
        """The workspace's volume; never waited for, since many classes bind only when a pod comes."""
        wanted, storage = self._request, self._request.settings.storage
        if storage.volume == "emptydir":
            yield
            return
        claim = manifests.volume_claim(wanted.identity, storage.size, storage.storage_class or None)
        present = await anchor.cluster.get("PersistentVolumeClaim", claim["metadata"]["name"])
        if present is not None and ownership.session_uid(present) == wanted.identity.uid:
            yield  # a claim's size and class cannot be changed by applying it again
            return
        async with self._durable(anchor.cluster, claim):
            yield

    @asynccontextmanager
    async def create_pod(
        self, gate: Pushed, image: Pushed, address: str | None, access: PullAccess, anchor: Anchor
    ) -> AsyncIterator[Pod]:
        """Create the pod and wait until it has a node; its gate comes up next, the agent waits for its leave."""
        spec = self._pod_spec(gate, image, address, access, anchor)
        cluster = anchor.cluster
        obj = manifests.stateful_set(spec, anchor.object)
        async with self._durable(cluster, obj, undo=self._take_back_pod(cluster)):
            await pods.replace_broken(cluster, self._request.identity.name, spec.gate_image, spec.agent_image)
            uid = await self._with_room(cluster, lambda: pods.until(cluster, self._request.identity.name, _has_node))
            yield Pod(cluster, pods.pod_name(self._request.identity.name), uid)

    async def _with_room(self, cluster: Cluster, attempt: Callable[[], Awaitable[T]]) -> T:
        """What comes of `attempt`. Pods that are ending count in a quota: what fits without them has time for that.

        Raises QuotaExceeded with what would fit, whichever of the session's pods was refused.
        """
        end, told = anyio.current_time() + ROOM_S, False
        while True:
            try:
                return await attempt()
            except QuotaExceeded as exc:
                refused = await self._fitting(exc, cluster)
                if refused is None and anyio.current_time() > end:
                    hint = "it fits beside the pods that stay: try again when those that are ending have gone"
                    refused = QuotaExceeded(exc.what, why=exc.why, hint=hint)
                if refused is not None:
                    raise refused from exc
            if not told:
                report.line("waiting until the quota no longer counts pods that are ending")
                told = True
            await anyio.sleep(1)  # when a quota counts anew is told by nothing

    async def _fitting(self, refused: QuotaExceeded, cluster: Cluster) -> QuotaExceeded | None:
        """The refusal with what would fit; None when all of it does once the pods that are ending have gone."""
        wanted = self._request
        spec = manifests.session_pod(wanted.pod_spec("", "", None, ids_assigned=False, pull_secrets=()))
        ours = [spec]
        if wanted.walled:
            proxy = manifests.proxy_deployment(
                self._proxy, "", ids_assigned=False, pull_secrets=(), settings=wanted.settings
            )
            ours.append(proxy["spec"]["template"]["spec"])
        allowlist = self._proxy if wanted.walled else ""
        others = fitting.others(await cluster.list("Pod"), pods.pod_name(wanted.name), allowlist)
        rooms = await surroundings.quotas(cluster)
        together = fitting.counts(ours), fitting.counts(others)
        return fitting.within_quota(refused, wanted.settings.resources, *together, rooms)

    def _pod_spec(
        self, gate: Pushed, image: Pushed, address: str | None, access: PullAccess, anchor: Anchor
    ) -> PodSpec:
        return self._request.pod_spec(
            gate.reference,
            image.reference,
            address,
            ids_assigned=anchor.namespace.ids_assigned,
            pull_secrets=access.names(self._pull_secret),
        )

    def _take_back_pod(self, cluster: Cluster) -> Undo:
        who = self._request.identity

        async def undo() -> None:
            await ownership.remove(cluster, "StatefulSet", manifests.resource_name(who.name), who.uid)
            if not await pods.delete(cluster, who, grace_s=GATE_GRACE_S, within_s=UNDO_S):
                raise durable.left(cluster, ("pod", pods.pod_name(who.name)))

        return undo

    async def watch_gate(self, pod: Pod) -> None:
        """Until the gate runs: this is what tells why it does not. The kubelet tells of success up to 2 s late."""
        await pods.until(pod.cluster, self._request.identity.name, _gate_runs)

    async def check_agent_image(self, pod: Pod, image: Pushed) -> None:
        """What the pod runs must be what was pushed: a tag says nothing, a digest does.

        A name with a digest is checked by the kubelet; this is for an image that was pushed after the pod was made.
        """
        if _is_pinned(image):
            return

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

    def _durable(
        self, cluster: Cluster, *objects: Object, undo: Undo | None = None
    ) -> AbstractAsyncContextManager[Object]:
        wanted = self._request
        return durable.lasting(cluster, wanted.identity.uid, *objects, fresh=wanted.fresh, undo=undo)


def _pinned(image: Pushed) -> Pushed:
    return Pushed(f"{image.reference}@{image.digest}", image.digest) if image.digest else image


def _is_pinned(image: Pushed) -> bool:
    return "@" in image.reference


def _has_node(pod: Object) -> str | None:
    if pod["metadata"].get("deletionTimestamp"):
        return None
    return str(pod["metadata"]["uid"]) if pod["spec"].get("nodeName") else None


def _elsewhere(known: Record) -> PaudeError:
    return NameTaken(
        f"the session {known.name} of this workspace is in namespace {known.namespace} of {known.server}",
        hint=f"leave --context and --namespace out to resume it there, or `paude stop {known.name}` first",
    )


def _gate_runs(pod: Object) -> bool | None:
    return True if _has_node(pod) and reasons.running(pod, "gate") else None
