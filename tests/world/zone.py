"""The names of the fake internet, the addresses behind them, and which of them are HTTPS origins."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

GATEWAY, INSIDE = "10.97.12.1", "10.97.12.2"
GATEWAY6, INSIDE6 = "fd97:12::1", "fd97:12::2"
RESOLVER, RESOLVER6 = "198.51.100.53", "2001:db8::53"
RESOLVERS = {RESOLVER, RESOLVER6}
# What the world answers for, besides its own block: addresses that a name must not be able to lead to. They belong to
# the world while it is up, so that a defence that was taken away on purpose is seen to leak into it, and nowhere else.
BLOCK = "198.51.100.0/24"
FORBIDDEN = ("10.97.13.0/24", "100.64.13.0/24", "169.254.169.254/32", "169.254.20.10/32")
NETS = (BLOCK, *FORBIDDEN)
# The same in IPv6: the documentation block, a private one, and a cloud's metadata service.
SIX, PRIVATE6, METADATA6 = "2001:db8:6::10", "fd00:6::10", "fd00:ec2::254"
BLOCK6, FORBIDDEN6 = "2001:db8::/32", ("fd00:6::/32", METADATA6 + "/128")
HAS_IPV6 = Path("/proc/net/if_inet6").exists()
"""Without it the fake internet has one family, and tests of the other fail."""
NETS6 = (BLOCK6, *FORBIDDEN6) if HAS_IPV6 else ()

ALLOWED, OTHER, FORBIDDEN_HOST, WILD = "198.51.100.10", "198.51.100.11", "198.51.100.20", "198.51.100.12"
LITERAL = "198.51.100.66"
PRIVATE, SHARED, METADATA = "10.97.13.10", "100.64.13.10", "169.254.169.254"
NODE_RESOLVER = "169.254.20.10"

_A: dict[str, list[list[str]]] = {
    "allowed.test": [[ALLOWED]],
    "other.test": [[OTHER]],
    "forbidden.test": [[FORBIDDEN_HOST]],
    "api.model.test": [["198.51.100.13"]],
    "aiplatform.test": [["198.51.100.14"]],
    "us-east5-aiplatform.test": [["198.51.100.15"]],
    "europe-west1-aiplatform.test": [["198.51.100.16"]],
    "evil-aiplatform.test": [["198.51.100.21"]],
    "registry.origin.test": [["198.51.100.17"]],
    "oauth2.test": [["198.51.100.18"]],
    "private.test": [[PRIVATE]],
    "shared.test": [[SHARED]],
    "metadata.test": [[METADATA]],
    "loopback.test": [["127.0.0.1"]],
    "unspecified.test": [["0.0.0.0"]],
    "mixed.test": [[ALLOWED, PRIVATE]],
    "flip.test": [[ALLOWED], [PRIVATE]],
    "mapped.test": [[]],
}
_AAAA = {
    "mapped.test": ["::ffff:" + PRIVATE],
    "loopback6.test": ["::1"],
    "six.test": [SIX],
    "six-private.test": [PRIVATE6],
    "six-metadata.test": [METADATA6],
    "six-both.test": [SIX, PRIVATE6],
    # An IPv4 address in the form of a translator (RFC 6052).
    "six-translated.test": ["64:ff9b::" + PRIVATE],
}
# The owner of an address can claim any name for it: the trap for a proxy that looks addresses up.
_PTR = {"66.100.51.198.in-addr.arpa": "allowed.test"}
_BELOW = {"wild.test": [WILD]}
_turns = {name: cycle(answers) for name, answers in _A.items()}


def names() -> list[str]:
    """Every name that the origins' certificate holds."""
    return [*_A, *(f"*.{name}" for name in _BELOW), "literal.test"]


def lookup(name: str, kind: str) -> list[str] | None:
    """The answers for a name and a type (`A`, `AAAA`, `PTR`), or None when there is no such name."""
    if kind == "PTR":
        return [_PTR[name]] if name in _PTR else None
    if name in _turns or name in _AAAA:
        return _AAAA.get(name, []) if kind == "AAAA" else next(_turns[name]) if kind == "A" and name in _turns else []
    parent = name.partition(".")[2]
    if parent in _BELOW:
        return _BELOW[parent] if kind == "A" else []
    return None


def addresses(where: str) -> set[str]:
    """The addresses of a name, or the address itself."""
    known = {address for answers in _A.get(where, []) for address in answers} | set(_AAAA.get(where, []))
    return known or set(_BELOW.get(where.partition(".")[2], [])) or {where}
