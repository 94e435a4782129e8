"""What other people's network policies do to a session: refused at start when they open a way out, named when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paude.backends.kubernetes import manifests
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.manifests import Identity
from paude.egress import others, policies
from paude.errors import EgressOpen, Forbidden


@dataclass(frozen=True)
class Seen:
    """`opening` let the agent out, `admitting` let somebody in to it or to its proxy, `changed` are paude's own that
    somebody has changed or removed; `unread`: this user may not look.
    """

    opening: tuple[str, ...] = ()
    admitting: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unread: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line each, for the user."""
        lines = [f"the network policy {name} opens ways out of the session" for name in self.opening]
        lines += [f"paude's own network policy {name} was changed or removed" for name in self.changed]
        lines += [f"the network policy {name} lets others in to the session or its proxy" for name in self.admitting]
        if self.unread:
            lines.append("you may not list network policies: whether another one opens the session is not known")
        return tuple(lines)

    def refuse(self) -> None:
        """Raise EgressOpen when one opens a way out."""
        if self.opening:
            raise EgressOpen(
                f"the network policy {self.opening[0]} opens ways out of every session here",
                why=f"it selects paude's pods and has rules for egress: {', '.join(self.opening)}",
                hint="let it leave out pods with the label paude.io/wall, or use another namespace",
            )


async def look(cluster: Cluster, identity: Identity, digest: str, *, running: bool) -> Seen:
    """Read the namespace's policies; paude's own are compared with what they have to say once the session runs."""
    try:
        found = {str(p["metadata"]["name"]): p for p in await cluster.list("NetworkPolicy")}
    except Forbidden:
        return Seen(unread=True)
    session = policies.session_name(identity.name)
    own = {policies.BASELINE, session, policies.proxy_name(digest)}
    agent = others.findings(found.values(), agent_labels(identity, digest), own)
    proxy = others.findings(found.values(), manifests.proxy_labels(digest), own)
    changed = _changed(found, identity, digest, cluster.namespace) if running else ()
    return Seen(agent.egress, tuple(sorted({*agent.ingress, *proxy.ingress})), changed)


def agent_labels(identity: Identity, digest: str) -> dict[str, str]:
    """The labels that policies find the agent's pod by."""
    wall = {policies.ROLE: "agent", policies.WALL: "closed", policies.USES: digest}
    return {**manifests.labels(identity, "agent"), **wall}


def _changed(found: Mapping[str, Object], identity: Identity, digest: str, namespace: str) -> tuple[str, ...]:
    expected = (
        policies.baseline(namespace),
        policies.session(identity.name, identity.uid, namespace, {}, digest),
    )
    names = (str(one["metadata"]["name"]) for one in expected)
    return tuple(name for name, one in zip(names, expected, strict=True) if others.changed(found.get(name), one))
