"""The rights that sessions need in their namespace, and no others: asked about one by one, and written as a Role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import yaml

from paude.backends.kubernetes import registry
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.manifests import common_labels
from paude.backends.kubernetes.tunnels import WEBSOCKET

ROLE = "paude-user"
_AT_ONCE = 8
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True)
class Rule:
    """Verbs on one resource; `resource` may name a subresource, as in `pods/log`."""

    group: str
    resource: str
    verbs: tuple[str, ...]


_MADE = ("get", "list", "create", "patch", "delete")
NEEDED = (
    Rule("", "configmaps", _MADE),
    Rule("", "secrets", ("get", "create", "patch", "delete")),
    Rule("", "services", _MADE),
    Rule("", "persistentvolumeclaims", ("get", "list", "watch", "create", "patch", "delete")),
    Rule("", "pods", ("get", "list", "watch", "patch", "delete")),
    Rule("", "pods/log", ("get",)),
    Rule("", "pods/portforward", ("get", "create")),
    Rule("", "events", ("list", "watch")),
    Rule("", "serviceaccounts", ("get",)),
    Rule("apps", "statefulsets", ("get", "list", "create", "patch", "delete")),
    Rule("apps", "deployments", ("get", "list", "watch", "create", "patch", "delete")),
    Rule("networking.k8s.io", "networkpolicies", _MADE),
)
ON_OPENSHIFT = (
    # Where it is written that the cluster assigns users; no pod that sets one would be admitted.
    Rule("", "namespaces", ("get",)),
    Rule("image.openshift.io", "imagestreams", ("get", "list", "create")),
    # What its registry asks the API server about whoever pushes and pulls.
    Rule("image.openshift.io", "imagestreams/layers", ("get", "update")),
)
BY_PROGRAM = (Rule("", "pods/exec", ("get", "create")),)
"""Where kubectl or oc carries the tunnels: they run the gate's sshd while the pod is still starting."""
THROUGH_RELAY = (Rule("", "pods", ("create",)), *BY_PROGRAM)
"""Where a push goes through a relay: its pod, and the programs in it that join the streams."""


async def needed(cluster: Cluster, *, own_registry: bool) -> tuple[Rule, ...]:
    """The rules for this cluster; `own_registry` where images go to its own, and not to one that the user names."""
    rules = [*NEEDED]
    if await cluster.exists("image.openshift.io/v1"):
        rules += ON_OPENSHIFT
        if own_registry and await registry.without_route(cluster):
            rules += THROUGH_RELAY
    if cluster.tunnel != WEBSOCKET:
        rules += BY_PROGRAM
    return tuple(dict.fromkeys(rules))


async def missing(cluster: Cluster, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """What of `rules` the user lacks in the namespace: one SelfSubjectAccessReview each, some at once."""
    lacking: set[tuple[str, str, str]] = set()
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def ask(rule: Rule, verb: str) -> None:
        async with limit:
            if not await allowed(cluster, rule.group, rule.resource, verb):
                lacking.add((rule.group, rule.resource, verb))

    try:
        async with anyio.create_task_group() as tasks:
            for rule in rules:
                for verb in rule.verbs:
                    tasks.start_soon(ask, rule, verb)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    found = (Rule(r.group, r.resource, tuple(v for v in r.verbs if (r.group, r.resource, v) in lacking)) for r in rules)
    return tuple(rule for rule in found if rule.verbs)


async def may_make_namespace(cluster: Cluster) -> bool:
    """Whether the user may make a namespace of his own: on OpenShift by asking for a project."""
    if await cluster.exists("project.openshift.io/v1"):
        return await allowed(cluster, "project.openshift.io", "projectrequests", "create", everywhere=True)
    return await allowed(cluster, "", "namespaces", "create", everywhere=True)


async def allowed(cluster: Cluster, group: str, resource: str, verb: str, *, everywhere: bool = False) -> bool:
    """Whether the user may do this in the connection's namespace, or in the whole cluster."""
    main, _, sub = resource.partition("/")
    where = "" if everywhere else cluster.namespace
    asked = {"namespace": where, "group": group, "resource": main, "subresource": sub, "verb": verb}
    review = await cluster.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": asked},
        }
    )
    return bool((review.get("status") or {}).get("allowed"))


async def user(cluster: Cluster) -> str:
    """Whom the API server takes the user for."""
    review = await cluster.create(
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    )
    return str(((review.get("status") or {}).get("userInfo") or {}).get("username", ""))


def role(rules: Sequence[Rule], namespace: str, who: str) -> str:
    """The Role with these rules and its binding to the user, as an administrator applies them."""
    meta: dict[str, Any] = {"name": ROLE, "namespace": namespace, "labels": common_labels("role")}
    api = "rbac.authorization.k8s.io"
    listed = [{"apiGroups": [r.group], "resources": [r.resource], "verbs": list(r.verbs)} for r in rules]
    made = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": listed}
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": {**meta, "name": f"{ROLE}-{_part_of_name(who)}"},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": ROLE},
        "subjects": [_subject(who)],
    }
    return yaml.safe_dump_all([made, binding], sort_keys=False)


def _subject(who: str) -> dict[str, str]:
    if who.startswith(_SERVICE_ACCOUNT):
        namespace, _, name = who.removeprefix(_SERVICE_ACCOUNT).partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who}


def _part_of_name(who: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in who.lower()).strip("-")[:200] or "user"
