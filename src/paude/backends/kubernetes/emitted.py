"""A whole session as manifests, for those who look at or keep what would run: `paude start --emit-yaml`.

Made by the same functions as the session itself, without a cluster: what only a cluster knows is a placeholder, and no
secret is in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from paude.backends.kubernetes import kubeconfig, manifests, proxies
from paude.backends.kubernetes.cluster import Object
from paude.backends.kubernetes.start import Request
from paude.egress import policies
from paude.errors import SettingsError
from paude.images.build import tag_of
from paude.images.context import ImageSpec
from paude.images.reference import RegistryTarget
from paude.ssh import keys
from paude.ssh.session_keys import SessionKeys

REDACTED = "(redacted)"
# On OpenShift the registry is found by asking the cluster.
_REGISTRY = RegistryTarget("registry.invalid")
_ONCE_BUILT = "TAG-ONCE-BUILT"


async def objects(request: Request, *, ids_assigned: bool) -> list[Object]:
    """Everything that a start would make, in the order in which it may be applied.

    With `ids_assigned` no user and group is named, for a namespace that assigns them (OpenShift). Raises ImageError,
    SettingsError.
    """
    namespace, digest = _namespace(request), request.serves
    gate, agent, proxy = [await _image(request, spec) for spec in _specs(request)]
    anchor = manifests.anchor(request.identity, request.facts())
    anchor["metadata"]["uid"] = ""
    baseline = policies.baseline(namespace, manifests.common_labels("policy"))
    storage = request.settings.storage
    claim = [manifests.volume_claim(request.identity, storage.size, storage.storage_class or None)]
    secrets = request.secrets(_no_keys(), anchor)
    pull = (request.settings.pull_secret,) if request.settings.pull_secret else ()
    address = f"ADDRESS-OF-{manifests.resource_name(request.identity.name, 'proxy')}" if request.walled else None
    spec = request.pod_spec(gate, agent, address, ids_assigned=ids_assigned, pull_secrets=pull)
    wall: list[Object] = []
    if request.walled:
        who = request.identity
        labels = manifests.labels(who, "policy")
        wall = [
            *proxies.objects(
                namespace, request.allowlist, request.company, proxies.Source(proxy, pull, None, request.settings),
                ids_assigned=ids_assigned,
            ),
            manifests.proxy_service(who, digest, anchor),
            policies.session(who.name, who.uid, namespace, labels, digest),
        ]  # fmt: skip
    volume = [] if storage.volume == "emptydir" else claim
    everything = [baseline, anchor, *wall, *secrets, *volume, manifests.stateful_set(spec, anchor)]
    return [_shown(one, namespace) for one in everything]


def _specs(request: Request) -> tuple[ImageSpec, ImageSpec, ImageSpec]:
    return request.gate_image, request.agent_image, request.proxy_image


async def _image(request: Request, spec: ImageSpec) -> str:
    target = request.registry or _REGISTRY
    # What the workspace builds has a name once it is built, and nobody was asked whether it may be.
    tag = await tag_of(spec, request.build) if spec.own is None else _ONCE_BUILT
    return str(target.pull_reference(spec.name, tag))


def _namespace(request: Request) -> str:
    """The namespace that would be used; empty when no kubeconfig says."""
    try:
        return kubeconfig.choose(request.kubeconfigs, context=request.context, namespace=request.namespace).namespace
    except SettingsError:
        return request.namespace or ""


def _no_keys() -> SessionKeys:
    """Keys that are made, and redacted, for the names of their files."""
    return SessionKeys(*(keys.generate("redacted") for _ in range(4)))


def _shown(obj: Object, namespace: str) -> Object:
    """Without secrets, and without an owner: its uid is known only once the anchor exists."""
    meta: Mapping[str, object] = {
        key: value for key, value in obj["metadata"].items() if key not in {"ownerReferences", "uid", "namespace"}
    }
    shown = {**obj, "metadata": {**meta, **({"namespace": namespace} if namespace else {})}}
    if obj["kind"] == "Secret":
        shown["stringData"] = dict.fromkeys(shown.pop("data", {}), REDACTED)
    return shown
