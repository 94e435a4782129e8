"""The objects of a session as plain data, from frozen facts. Pure: no cluster, no clock, no randomness.

User strings only ever become values in these structures, never text that is parsed again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paude import __version__
from paude.egress import clients
from paude.egress.squid import CANARY_PORT, PROXY_PORT
from paude.settings.kinds import Pairs, Toleration
from paude.settings.table import Lifecycle, Pod, Proxy, ProxyLimits, ProxyRequests, Resources, Settings, Storage

Object = dict[str, Any]

FIXED_ID = 10001  # user, group and volume group where the cluster does not assign them
SECRETS = "/run/secrets/paude"
POD_PROGRAM = "/opt/paude/bin/paude-pod"
_PARTS = ("requests", "limits")


@dataclass(frozen=True)
class Identity:
    """Whose session this is: `uid` is random and made once, `owner` is a label-safe form of the user's name.

    `more_labels` are the user's own.
    """

    name: str
    uid: str
    owner: str
    more_labels: Pairs = ()


@dataclass(frozen=True)
class PodSpec:
    """Everything that the pod of a session is made of; `proxy` is None with `--allow-network`."""

    identity: Identity
    gate_image: str
    agent_image: str
    command: Sequence[str]
    proxy: str | None
    allowlist: str
    ids_assigned: bool
    resources: Resources
    environment: Mapping[str, str]
    pull_secrets: Sequence[str] = ()
    pod: Pod = field(default_factory=Pod)
    life: Lifecycle = field(default_factory=Lifecycle)
    storage: Storage = field(default_factory=Storage)


def resource_name(session: str, part: str = "") -> str:
    """The name of an object of the session."""
    return f"paude-{session}-{part}" if part else f"paude-{session}"


def labels(identity: Identity, component: str) -> dict[str, str]:
    """The recommended labels, and paude's own."""
    return {
        **dict(identity.more_labels),
        **common_labels(component),
        "app.kubernetes.io/instance": identity.name,
        "paude.io/session": identity.name,
        "paude.io/session-uid": identity.uid,
        "paude.io/owner": identity.owner,
    }


def common_labels(component: str) -> dict[str, str]:
    """The labels of everything that paude makes."""
    return {
        "app.kubernetes.io/name": "paude",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "paude",
        "app.kubernetes.io/managed-by": "paude",
        "app.kubernetes.io/version": __version__,
    }


def _meta(identity: Identity, part: str, component: str, owner: Object | None = None) -> Object:
    meta: Object = {"name": resource_name(identity.name, part), "labels": labels(identity, component)}
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    return meta


def owner_reference(anchor: Object) -> Object:
    """Ties an object to the anchor, so that the cluster's garbage collection is the last safety net.

    No blockOwnerDeletion: OpenShift lets it be set only by those who may set finalizers on the owner.
    """
    meta = anchor["metadata"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}


def anchor(identity: Identity, facts: Mapping[str, str]) -> Object:
    """The ConfigMap whose existence is the session's name, and whose annotations are its facts."""
    meta = _meta(identity, "", "anchor")
    meta["annotations"] = {f"paude.io/{key}": value for key, value in facts.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def volume_claim(identity: Identity, storage: str, storage_class: str | None) -> Object:
    """The workspace's claim; not owned by the anchor, since it may have to outlive the session."""
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _meta(identity, "", "workspace"),
        "spec": spec,
    }


def secret(identity: Identity, part: str, data: Mapping[str, bytes], owner: Object, kind: str = "Opaque") -> Object:
    """A Secret of the session: `gate` and `agent` hold ssh keys, `credentials` what the agent works with.

    `kept` holds what the gate makes that of, and only the gate mounts it; `laptop` what another laptop needs, and
    no pod mounts it.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _meta(identity, part, "secret", owner),
        "type": kind,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def proxy_service(identity: Identity, allowlist: str, owner: Object) -> Object:
    """The session's own address of its proxy: it stays while the proxy behind it may change."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            **_meta(identity, "proxy", "proxy", owner),
            "labels": {**labels(identity, "proxy"), "paude.io/serves": allowlist},
        },
        "spec": {
            "selector": {"paude.io/role": "proxy", "paude.io/allowlist": allowlist},
            "ports": [
                {"name": "proxy", "port": PROXY_PORT, "targetPort": PROXY_PORT},
                {"name": "canary", "port": CANARY_PORT, "targetPort": CANARY_PORT},
            ],
        },
    }


def proxy_name(allowlist: str) -> str:
    """The name of the Deployment, ConfigMap and policy of the proxy for an allowlist's digest."""
    return f"paude-proxy-{allowlist}"


def proxy_pull_secret(allowlist: str) -> str:
    """The name of the Secret with which the proxy's image is pulled, where one is made."""
    return f"{proxy_name(allowlist)}-pull"


def proxy_settings(allowlist: str, configuration: str, hosts: str) -> Object:
    """The proxy's configuration; immutable, because another list is another proxy."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": proxy_name(allowlist), "labels": proxy_labels(allowlist)},
        "immutable": True,
        "data": {"squid.conf": configuration, "allowlist": hosts},
    }


def proxy_labels(allowlist: str) -> dict[str, str]:
    """The labels by which Services and policies find the proxy."""
    return {**common_labels("proxy"), "paude.io/role": "proxy", "paude.io/allowlist": allowlist}


def proxy_deployment(
    allowlist: str, image: str, *, ids_assigned: bool, pull_secrets: Sequence[str], settings: Settings | None = None
) -> Object:
    """The proxy itself: one pod, shared by the sessions that use this allowlist."""
    proxy, pod = (settings.proxy, settings.pod) if settings is not None else (Proxy(), Pod())
    selector = {"paude.io/role": "proxy", "paude.io/allowlist": allowlist}
    container: Object = {
        "name": "proxy",
        "image": image,
        "command": [POD_PROGRAM, "proxy"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [{"containerPort": PROXY_PORT}, {"containerPort": CANARY_PORT}],
        "readinessProbe": {"tcpSocket": {"port": PROXY_PORT}, "periodSeconds": 1, "failureThreshold": 3},
        "resources": _limits(proxy.limits.cpu, proxy.limits.memory, proxy.requests.cpu, proxy.requests.memory, "256Mi"),
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/paude/proxy", "readOnly": True},
            {"name": "run", "mountPath": "/run/squid"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": proxy_name(allowlist), "labels": proxy_labels(allowlist)},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": proxy_labels(allowlist)},
                "spec": {
                    **_pod_basics(ids_assigned, pull_secrets),
                    **_tolerations(pod.tolerations),
                    "terminationGracePeriodSeconds": 2,
                    "containers": [container],
                    "volumes": [
                        {"name": "settings", "configMap": {"name": proxy_name(allowlist)}},
                        _scratch("run", "64Mi"),
                        _scratch("tmp", "64Mi"),
                    ],
                },
            },
        },
    }


def proxy_settings_of(deployment: Object) -> Settings:
    """What `proxy_deployment` was given, read from a proxy that runs; whatever somebody took out is the default."""
    spec = deployment["spec"]["template"]["spec"]
    resources = spec["containers"][0].get("resources") or {}
    needs, most = ({k: v for k, v in (resources.get(part) or {}).items() if k in {"cpu", "memory"}} for part in _PARTS)
    borne = tuple(
        Toleration(str(one.get("key", "")), str(one.get("value", "")), str(one.get("effect", "")))
        for one in spec.get("tolerations") or ()
    )
    return Settings(proxy=Proxy(ProxyRequests(**needs), ProxyLimits(**most)), pod=Pod(tolerations=borne))


def relay_pod(name: str, image: str, labels: Mapping[str, str], longest_s: int) -> Object:
    """A pod that only is there for programs to be run in it, and ends by itself; of OpenShift, which assigns users."""
    container = {
        "name": "relay",
        "image": image,
        "command": ["sleep", str(longest_s)],
        "resources": _limits("1", "128Mi", "10m", "32Mi", "32Mi"),
        "securityContext": _locked(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**common_labels("relay"), **labels}},
        "spec": {
            **_pod_basics(ids_assigned=True, pull_secrets=()),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": longest_s,
            "containers": [container],
        },
    }


def stateful_set(spec: PodSpec, owner: Object) -> Object:
    """The pod of a session: gate (native sidecar), fence (init container), agent."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _meta(spec.identity, "", "session", owner),
        "spec": {
            "replicas": 1,
            "serviceName": resource_name(spec.identity.name),
            "podManagementPolicy": "Parallel",
            # A rolling update waits for the broken pod that it should replace (seen): start deletes it instead.
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"paude.io/session": spec.identity.name, "paude.io/role": "agent"}},
            "template": {"metadata": {"labels": pod_labels(spec)}, "spec": session_pod(spec)},
        },
    }


def pod_labels(spec: PodSpec) -> dict[str, str]:
    """The labels by which policies and watchers find the pod; `wall=closed` is what the baseline selects."""
    walled = spec.proxy is not None
    wall = {"paude.io/wall": "closed", "paude.io/uses": spec.allowlist} if walled else {"paude.io/wall": "open"}
    return {**labels(spec.identity, "agent"), "paude.io/role": "agent", **wall}


def session_pod(spec: PodSpec) -> Object:
    """The spec of a session's pod."""
    pod: Object = {
        **_pod_basics(spec.ids_assigned, spec.pull_secrets),
        "terminationGracePeriodSeconds": 10,
        "initContainers": [_gate(spec), _fence(spec)],
        "containers": [_agent(spec)],
        "volumes": [
            _volume(spec),
            {"name": "gate-keys", "secret": {"secretName": resource_name(spec.identity.name, "gate")}},
            {"name": "agent-keys", "secret": {"secretName": resource_name(spec.identity.name, "agent")}},
            *(_given(spec.identity.name, part) for part in ("credentials", "kept")),
            {"name": "run-gate", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            *(_scratch(f"{who}-{what}", size) for who in ("gate", "agent") for what, size in _WRITABLE),
        ],
    }
    if spec.proxy is not None:
        # The API wants a name server; this one answers "no" at once instead of letting look-ups wait.
        options = [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]
        pod |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"], "options": options}}
    if spec.pod.runtime_class:
        pod["runtimeClassName"] = spec.pod.runtime_class
    if spec.pod.node_selector:
        pod["nodeSelector"] = dict(spec.pod.node_selector)
    return {**pod, **_tolerations(spec.pod.tolerations)}


def _tolerations(borne: Sequence[Toleration]) -> Object:
    if not borne:
        return {}
    return {"tolerations": [_toleration(one) for one in borne]}


def _toleration(borne: Toleration) -> Object:
    made: Object = {"key": borne.key, "operator": "Equal" if borne.value else "Exists"}
    made |= {"value": borne.value} if borne.value else {}
    return made | ({"effect": borne.effect} if borne.effect else {})


def _given(session: str, part: str) -> Object:
    return {"name": part, "secret": {"secretName": resource_name(session, part), "optional": True}}


def _volume(spec: PodSpec) -> Object:
    if spec.storage.volume == "emptydir":
        return _scratch("volume", spec.storage.size)
    return {"name": "volume", "persistentVolumeClaim": {"claimName": resource_name(spec.identity.name)}}


_WRITABLE = (("tmp", "2Gi"), ("run", "16Mi"), ("users", "1Mi"))


def _writable(who: str) -> list[Object]:
    paths = {"tmp": "/tmp", "run": "/run/paude", "users": "/var/lib/extrausers"}
    return [{"name": f"{who}-{what}", "mountPath": paths[what]} for what, _ in _WRITABLE]


def _gate_scratch(spec: PodSpec) -> str:
    """What lies in an emptydir counts against the pod's room, and the kubelet evicts a pod that takes more."""
    return spec.storage.size if spec.storage.volume == "emptydir" else "1Gi"


def _gate(spec: PodSpec) -> Object:
    return {
        "name": "gate",
        "image": spec.gate_image,
        "command": [POD_PROGRAM, "gate"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "restartPolicy": "Always",
        "env": _gate_environment(spec),
        "resources": _limits("2", "1Gi", "50m", "64Mi", _gate_scratch(spec)),
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "volume", "mountPath": "/vol"},
            {"name": "run-gate", "mountPath": "/run/gate"},
            {"name": "gate-keys", "mountPath": "/etc/paude/ssh", "readOnly": True},
            {"name": "kept", "mountPath": SECRETS, "readOnly": True},
            *_writable("gate"),
        ],
    }


def _fence(spec: PodSpec) -> Object:
    return {
        "name": "fence",
        "image": spec.gate_image,
        "command": [POD_PROGRAM, "fence"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": _gate_environment(spec),
        "resources": _limits("1", "128Mi", "10m", "32Mi", "64Mi"),
        "securityContext": _locked(),
        "volumeMounts": [{"name": "run-gate", "mountPath": "/run/gate", "readOnly": True}],
    }


def _gate_environment(spec: PodSpec) -> list[Object]:
    return [
        {"name": "PAUDE_SESSION", "value": spec.identity.name},
        {"name": "PAUDE_SESSION_UID", "value": spec.identity.uid},
        {"name": "PAUDE_FENCE", "value": "off" if spec.proxy is None else "on"},
        {"name": "PAUDE_PROXY", "value": spec.proxy or ""},
        {"name": "PAUDE_AGENT_IMAGE", "value": spec.agent_image},
        {"name": "PAUDE_NODE_IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}},
        *({"name": variable, "value": value} for variable, value in spec.life.pod_environment.items()),
    ]


def _agent(spec: PodSpec) -> Object:
    has_leave: Object = {"exec": {"command": [POD_PROGRAM, "has-leave"]}, "timeoutSeconds": 5}
    return {
        "name": "agent",
        "image": spec.agent_image,
        "command": [POD_PROGRAM, "agent", "--", *spec.command],
        "env": [{"name": k, "value": v} for k, v in agent_environment(spec).items()],
        # It waits for its leave as long as it takes: without this probe the other one would restart it meanwhile.
        "startupProbe": {**has_leave, "periodSeconds": 1, "failureThreshold": 2**31 - 1},
        "livenessProbe": {**has_leave, "periodSeconds": 1, "failureThreshold": 1},
        "resources": _agent_resources(spec.resources),
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "volume", "mountPath": "/workspace", "subPath": "workspace"},
            {"name": "volume", "mountPath": "/home/paude", "subPath": "home"},
            {"name": "volume", "mountPath": "/run/inbox", "subPath": "inbox", "readOnly": True},
            {"name": "run-gate", "mountPath": "/run/gate", "readOnly": True},
            {"name": "agent-keys", "mountPath": "/etc/paude/ssh", "readOnly": True},
            {"name": "credentials", "mountPath": SECRETS, "readOnly": True},
            *_writable("agent"),
        ],
    }


def agent_environment(spec: PodSpec) -> dict[str, str]:
    """The environment of the agent's container; nothing secret, nothing of the laptop."""
    environment = {
        "PAUDE_SESSION": spec.identity.name,
        "HOME": "/home/paude",
        "USER": "paude",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **spec.life.pod_environment,
    }
    if spec.proxy is not None:
        environment |= clients.environment(spec.proxy, PROXY_PORT)
    return {**environment, **spec.environment}


def _pod_basics(ids_assigned: bool, pull_secrets: Sequence[str]) -> Object:
    security: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if not ids_assigned:
        security |= {"runAsUser": FIXED_ID, "runAsGroup": FIXED_ID, "fsGroup": FIXED_ID}
        security["fsGroupChangePolicy"] = "OnRootMismatch"
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "imagePullSecrets": [{"name": name} for name in pull_secrets],
    }


def _locked() -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _limits(cpu: str, memory: str, cpu_request: str, memory_request: str, scratch: str) -> Object:
    return {
        "requests": {"cpu": cpu_request, "memory": memory_request, "ephemeral-storage": "16Mi"},
        "limits": {"cpu": cpu, "memory": memory, "ephemeral-storage": scratch},
    }


def _agent_resources(wanted: Resources) -> Object:
    needs, most = wanted.requests, wanted.limits
    made = _limits(most.cpu, most.memory, needs.cpu, needs.memory, wanted.scratch)
    if wanted.gpu:
        for part in made.values():
            part[wanted.gpu_resource] = str(wanted.gpu)
    return made


def _scratch(name: str, size: str) -> Object:
    return {"name": name, "emptyDir": {"sizeLimit": size}}
