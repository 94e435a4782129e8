"""What a company's network asks for: a proxy on the way out, an authority of its own, hosts at private addresses."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paude.egress import hosts
from paude.egress.ranges import PRIVATE
from paude.errors import SettingsError

LARGEST_BUNDLE = 96 * 1024
"""Bytes of a CA bundle: it travels in a Secret and is remembered in the session's record."""

# What companies use inside (RFC 1918, RFC 6598, RFC 4193). Loopback, link-local and multicast are nobody's servers.
_INSIDE = tuple(
    map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "192.0.0.0/24", "fc00::/7"))
)
# The metadata service of clouds that lies in such a network: it hands out the node's credentials.
_METADATA6 = ip_address("fd00:ec2::254")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.+?\s-----END CERTIFICATE-----", re.DOTALL)

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Parent:
    """The company's proxy: `host` is a name or an address, reached by plain HTTP, without a login."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Parent:
        """From `http://HOST:PORT`, or without the scheme. Raises SettingsError; a password is never repeated."""
        try:
            url = urlsplit(text if "://" in text else f"http://{text}")
            host, port = url.hostname or "", url.port
        except ValueError as exc:
            raise _no_parent("it is no URL") from exc
        if url.username is not None or url.password is not None:
            raise _no_parent("a login cannot be given: the proxy's settings are readable in the namespace")
        if url.scheme != "http":
            raise _no_parent("only http:// is known (what is in the tunnels is encrypted all the same)")
        if port is None or url.path not in {"", "/"} or url.query or url.fragment:
            raise _no_parent("a host and a port are needed, and nothing more")
        return cls(_address(host) or _name(host), port)

    @property
    def network(self) -> str | None:
        """The one address as CIDR; None for a name."""
        return str(ip_network(self.host)) if _address(self.host) else None

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class PrivateHost:
    """A host of the allowlist (`*.NAME`: all below it) that may lead to these private networks, and to no others."""

    host: str
    networks: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> PrivateHost:
        """From `HOST=NETWORK`, the network in CIDR or a single address. Raises SettingsError."""
        host, mark, network = text.partition("=")
        if not mark:
            raise _no_private(text, "no network is named")
        return cls(hosts.normal(host), (str(_inside(text, network)),))

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The private networks that it may not lead to."""
        left = [ip_network(one) for one in PRIVATE]
        for text in self.networks:
            mine = ip_network(text)
            left = [part for one in left for part in _without(one, mine)]
        return tuple(map(str, left))

    @property
    def words(self) -> tuple[str, ...]:
        """As the user would write it."""
        return tuple(f"{self.host}={network}" for network in self.networks)


@dataclass(frozen=True)
class Company:
    """All of it. Without a parent the proxy resolves and connects by itself; `ca_bundle` is PEM, for the agent."""

    parent: Parent | None = None
    private: tuple[PrivateHost, ...] = ()
    ca_bundle: str = ""

    @classmethod
    def of(
        cls, parent_proxy: str | None = None, private_allow: Iterable[str] = (), ca_bundle: Path | None = None
    ) -> Company:
        """From settings as the user wrote them; a host may be named with several networks. Raises SettingsError."""
        named: dict[str, set[str]] = {}
        for one in map(PrivateHost.of, private_allow):
            named.setdefault(one.host, set()).update(one.networks)
        return cls(
            Parent.of(parent_proxy) if parent_proxy else None,
            tuple(PrivateHost(host, tuple(sorted(named[host]))) for host in sorted(named)),
            _bundle(ca_bundle) if ca_bundle is not None else "",
        )

    @classmethod
    def from_json(cls, text: str) -> Company:
        """What `as_json` wrote; nothing for an empty text. Raises SettingsError for anything else."""
        try:
            found: dict[str, Any] = json.loads(text or "{}")
            known = cls.of(found.get("parent_proxy"), found.get("private_allow", ()))
            return cls(known.parent, known.private, str(found.get("ca_bundle", "")))
        except (ValueError, TypeError, AttributeError) as exc:
            raise SettingsError("what is noted of the company's network cannot be read") from exc

    def as_json(self, *, with_bundle: bool) -> str:
        """For a record or an annotation; empty when there is nothing."""
        known = {
            "parent_proxy": str(self.parent) if self.parent else None,
            "private_allow": [word for one in self.private for word in one.words],
            "ca_bundle": self.ca_bundle if with_bundle else "",
        }
        facts = {key: value for key, value in known.items() if value}
        return json.dumps(facts) if facts else ""

    def over(self, before: Company) -> Company:
        """What is set here, else what was set before."""
        return Company(self.parent or before.parent, self.private or before.private, self.ca_bundle or before.ca_bundle)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The private hosts: naming one allows it."""
        return tuple(one.host for one in self.private)

    @property
    def networks(self) -> tuple[str, ...]:
        """The private networks that a proxy has to reach."""
        return tuple(sorted({network for one in self.private for network in one.networks}))


def _without(one: Network, mine: Network) -> list[Network]:
    if one.version != mine.version or not one.overlaps(mine):
        return [one]
    if isinstance(one, IPv4Network) and isinstance(mine, IPv4Network):
        return [] if one.subnet_of(mine) else list(one.address_exclude(mine))
    if isinstance(one, IPv6Network) and isinstance(mine, IPv6Network):
        return [] if one.subnet_of(mine) else list(one.address_exclude(mine))
    return [one]


def _inside(text: str, network: str) -> Network:
    try:
        found = ip_network(network)
    except ValueError as exc:
        raise _no_private(text, f"{network[:60]!a} is no network in CIDR") from exc
    # The same version is the same class, which the types do not tell.
    if not any(found.version == one.version and found.subnet_of(one) for one in _INSIDE):  # type: ignore[arg-type]
        raise _no_private(text, f"{found} is no private network of a company")
    if _METADATA6 in found:
        raise _no_private(text, f"{found} holds a cloud's metadata service")
    return found


def _address(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def _name(host: str) -> str:
    """A name inside a company or a cluster may be one that no allowlist would take."""
    if not re.fullmatch(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", host):
        raise _no_parent("its host is neither a name nor an address")
    return host


def _bundle(file: Path) -> str:
    """The certificates of the file and nothing else of it: a key beside them must not travel."""
    try:
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError as exc:
        raise SettingsError(f"the CA bundle {file} cannot be read", why=exc.strerror or "") from exc
    certificates = _CERTIFICATE.findall(text)
    bundle = "".join(f"{one}\n" for one in certificates)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError) as exc:
        raise SettingsError(f"{file} is no CA bundle", why="it holds no certificate in PEM") from exc
    if len(bundle) > LARGEST_BUNDLE:
        why = f"{len(bundle)} bytes, at most {LARGEST_BUNDLE} travel"
        raise SettingsError(
            f"the CA bundle {file} is too large", why=why, hint="give the company's own certificates only"
        )
    return bundle


def _no_parent(why: str) -> SettingsError:
    return SettingsError("that parent proxy cannot be used", why=why, hint="write http://HOST:PORT")


def _no_private(text: str, why: str) -> SettingsError:
    hint = "write HOST=NETWORK, the network within 10/8, 172.16/12, 192.168/16, 100.64/10 or fc00::/7"
    return SettingsError(f"{text[:80]!a} cannot be allowed as a private host", why=why, hint=hint)
