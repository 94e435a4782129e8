"""The network policies: nothing in or out of an agent's pod but the way to its proxy.

Policies only add up, so the baseline denies for ever and the others allow; taking one away can only close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paude.egress.company import Company
from paude.egress.ranges import PRIVATE_V4, PRIVATE_V6
from paude.egress.squid import CANARY_PORT, PROXY_PORT

BASELINE = "paude-baseline"
WALL = "paude.io/wall"
ROLE = "paude.io/role"
SESSION = "paude.io/session"
SESSION_UID = "paude.io/session-uid"
ALLOWLIST = "paude.io/allowlist"
USES = "paude.io/uses"
RELAY = "paude.io/relay"
LAPTOP = "paude.io/laptop"
STARTS = "paude.io/starts"
"""On a relay: the session whose start pushes through it."""
LEAVES = "paude.io/leaves"
"""On an agent's pod while it goes from one proxy to another: the one that it still may talk to."""
# OVN filters after address translation, and OpenShift's resolvers listen on 5353.
DNS_PORTS = (53, 5353)

Manifest = dict[str, Any]


def session_name(name: str) -> str:
    """The name of a session's policy."""
    return f"paude-{name}"


def proxy_name(digest: str) -> str:
    """The name of the proxy of an allowlist, and of its policy."""
    return f"paude-proxy-{digest}"


def baseline(namespace: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """Denies both directions, both address families, for every pod with a closed wall. Applied first, never removed."""
    return _policy(BASELINE, namespace, labels or {}, {WALL: "closed"}, ingress=[], egress=[])


def session(name: str, uid: str, namespace: str, labels: Mapping[str, str], *digests: str) -> Manifest:
    """Lets the pod of one session reach the proxies of one allowlist, and nothing reach the pod.

    Of two lists only while the session goes from one to the other.
    """
    selector = {SESSION: name, SESSION_UID: uid, WALL: "closed"}
    assert digests, "an empty list of peers would mean every peer"
    proxies = [_pods({ROLE: "proxy", ALLOWLIST: digest}) for digest in digests]
    to = {"to": proxies, "ports": [_port("TCP", PROXY_PORT)]}
    return _policy(session_name(name), namespace, labels, selector, ingress=[], egress=[to])


def proxy(
    digest: str,
    namespace: str,
    labels: Mapping[str, str],
    private: Sequence[str] = (),
    company: Company | None = None,
) -> Manifest:
    """Lets a proxy be reached by the sessions that use it, ask resolvers, and reach port 443 of public addresses.

    Of a company's network it may reach the private hosts' addresses too; with a parent proxy that one, and nothing
    public. A parent that has a name and no address is known by its port only.

    The canary's port is open to every agent, so that in the fence's probe of it nothing but the agent's own egress
    rule stands between. `private` are further networks (CIDR) that are not public.
    """
    users = [_pods({USES: digest, ROLE: "agent"}), _pods({LEAVES: digest, ROLE: "agent"})]
    ingress = [
        {"from": users, "ports": [_port("TCP", PROXY_PORT)]},
        {"from": [_pods({ROLE: "agent"})], "ports": [_port("TCP", CANARY_PORT)]},
    ]
    egress = [
        {"ports": [_port(protocol, port) for port in DNS_PORTS for protocol in ("UDP", "TCP")]},
        *_beyond(company or Company(), private),
    ]
    selector = {ROLE: "proxy", ALLOWLIST: digest}
    return _policy(proxy_name(digest), namespace, labels, selector, ingress=ingress, egress=egress)


def relay(name: str, namespace: str, labels: Mapping[str, str], port: int, target: str) -> Manifest:
    """Lets the one relay pod of this name ask resolvers and reach a port in the namespace `target`; nothing gets in."""
    pods = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": target}}}
    egress = [
        {"ports": [_port(protocol, number) for number in DNS_PORTS for protocol in ("UDP", "TCP")]},
        {"to": [pods], "ports": [_port("TCP", port)]},
    ]
    return _policy(name, namespace, labels, {ROLE: "relay", RELAY: name}, ingress=[], egress=egress)


def _beyond(company: Company, private: Sequence[str]) -> Iterator[Manifest]:
    if company.parent is None:
        yield {"to": _public(private), "ports": [_port("TCP", 443)]}
    else:
        network = company.parent.network
        to = {"to": [{"ipBlock": {"cidr": network}}]} if network else {}
        yield {**to, "ports": [_port("TCP", company.parent.port)]}
    if company.networks:
        blocks = [{"ipBlock": {"cidr": network}} for network in company.networks]
        yield {"to": blocks, "ports": [_port("TCP", 443)]}


def _public(private: Sequence[str]) -> list[Manifest]:
    v4 = [*PRIVATE_V4, *(network for network in private if ":" not in network)]
    v6 = [*PRIVATE_V6, *(network for network in private if ":" in network)]
    return [{"ipBlock": {"cidr": "0.0.0.0/0", "except": v4}}, {"ipBlock": {"cidr": "::/0", "except": v6}}]


def _pods(labels: Mapping[str, str]) -> Manifest:
    return {"podSelector": {"matchLabels": dict(labels)}}


def _port(protocol: str, number: int) -> Manifest:
    return {"protocol": protocol, "port": number}


def _policy(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    ingress: list[Manifest],
    egress: list[Manifest],
) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "podSelector": {"matchLabels": dict(selector)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }
