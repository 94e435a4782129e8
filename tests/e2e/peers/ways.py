"""Ways out over IPv6 that a program in a pod can take, and which of them led somewhere.

Nobody asks the program: what is meant for the fake internet is counted there, and what is meant for the cluster itself
is in the node's table of flows, which holds a flow only once its first packet was let through.
"""

from __future__ import annotations

import json
import re
import secrets
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

from laptop import Admin
from world import zone
from world.client import World

ADDRESSES = "cat /proc/net/if_inet6"
ROUTES = "cat /proc/net/ipv6_route"
_FLOWS = Path("/proc/net/nf_conntrack")
_FLOW = re.compile(r"^ipv6 +\d+ (\w+) +.*?src=(\S+) dst=(\S+)(?: sport=(\d+) dport=(\d+))?")

Flow = tuple[str, str, str, int, int]
"""Protocol, who began it, where it goes, port there, port here."""


@dataclass(frozen=True)
class Way:
    """Where a program sends something; the name that it asks for, where that is a resolver."""

    name: str
    protocol: str
    address: str
    port: int = 0
    asks: str = ""

    def bash(self) -> str:
        """As a command of the agent's container, which has no program for pings but paude's own."""
        if self.protocol == "icmp":
            return "PAUDE_PROXY=127.0.0.1 /opt/paude/bin/paude-pod verify"
        place = f"/dev/{self.protocol}/{self.address}/{self.port}"
        return f"timeout 2 bash -c 'exec 3<> {place}; printf \"{self._payload}\" >&3; timeout 1 head -c 1 <&3'"

    def busybox(self) -> str:
        """As a command of the probe image."""
        if self.protocol == "icmp":
            return f"ping -c 1 -W 1 {self.address}"
        if self.protocol == "tcp":
            return f"printf '{self._payload}' | nc -w 1 {self.address} {self.port}"
        ask = f"nslookup -type=aaaa {self.asks} {self.address}"
        return f"timeout 2 {ask if self.asks else f'tftp -g -r x {self.address} {self.port}'}"

    @property
    def _payload(self) -> str:
        """For printf."""
        raw = _question(self.asks) if self.asks else b"x"
        counted = struct.pack("!H", len(raw)) + raw if self.asks and self.protocol == "tcp" else raw
        return "".join(f"\\x{byte:02x}" for byte in counted)

    @property
    def end(self) -> tuple[str, str, int]:
        """As a flow has it."""
        return self.protocol, str(ip_address(self.address.partition("%")[0])), self.port


@dataclass(frozen=True)
class Battery:
    """All of them, and the name that some of them ask for."""

    ways: tuple[Way, ...]
    name: str

    @property
    def names(self) -> set[str]:
        """What arrives when nothing is closed."""
        return {way.name for way in self.ways} | {"the question"}

    def bash(self) -> str:
        """All at once, as one command of the agent's container."""
        return _at_once(way.bash() for way in self.ways)

    def busybox(self) -> str:
        """The same for the probe image."""
        return _at_once(way.busybox() for way in self.ways)

    @contextmanager
    def watching(self, world: World, *sources: str) -> Iterator[set[str]]:
        """The names of what got somewhere from these addresses during the block; complete when it has ended."""
        arrived: set[str] = set()
        before = _flows(sources)
        with world.watching(*sources) as seen:
            yield arrived
        ends = {(protocol, to, port) for protocol, _, to, port, _ in _flows(sources) - before}
        hits = (way.name for way in self.ways if seen.hits(way.address, way.port, way.protocol))
        arrived |= {*hits, *(way.name for way in self.ways if way.end in ends)}
        arrived |= {"the question"} if world.queries(self.name) else set()


def battery(kubectl: Admin, routes: str) -> Battery:
    """Into the fake internet and to the cluster's own addresses; `routes` is what ROUTES prints in the pod."""

    def read(*words: str) -> dict[str, Any]:
        return dict(json.loads(kubectl("get", *words, "-o", "json", namespace="kube-system")))

    name = f"leak-{secrets.token_hex(6)}.test"
    (node,), (pod,) = (read(*words)["items"] for words in (("nodes",), ("pods", "-l", "k8s-app=kube-dns")))
    home = _six(one["address"] for one in node["status"]["addresses"])
    other = _six(one["ip"] for one in pod["status"]["podIPs"])
    resolver = _six(read("service", "kube-dns")["spec"]["clusterIPs"])
    ways = (
        Way("tcp", "tcp", zone.SIX, 8443),
        Way("udp", "udp", zone.SIX, 4000),
        Way("ping", "icmp", zone.METADATA6),
        Way("metadata", "tcp", zone.METADATA6, 80),
        Way("private", "tcp", zone.PRIVATE6, 22),
        Way("dns", "udp", zone.RESOLVER6, 53, name),
        Way("dns by tcp", "tcp", zone.RESOLVER6, 53, name),
        Way("cluster's dns", "udp", resolver, 53, name),
        Way("cluster's dns by tcp", "tcp", resolver, 53, name),
        Way("another pod", "tcp", other, 8080),
        Way("api server", "tcp", home, 6443),
        Way("kubelet", "tcp", home, 10250),
        Way("node", "udp", home, 4000),
        Way("node by the link", "tcp", f"{_gateway(routes)}%eth0", 10250),
    )
    return Battery(ways, name)


def addresses(table: str) -> list[str]:
    """A pod's own, of the link too; `table` is what ADDRESSES prints there."""
    found = (line.split() for line in table.splitlines())
    return [str(IPv6Address(bytes.fromhex(fields[0]))) for fields in found if fields[5] != "lo"]


def _gateway(routes: str) -> str:
    """The way out of the pod: an address of the node on the pod's own link."""
    hops = (fields[4] for fields in map(str.split, routes.splitlines()) if fields[1] == "00" and fields[9] != "lo")
    return str(IPv6Address(bytes.fromhex(next(hops))))


def _six(found: Iterable[str]) -> str:
    return next(address for address in found if ":" in address)


def _question(name: str) -> bytes:
    """A query for the IPv6 address of a name."""
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 28, 1)


def _at_once(commands: Iterable[str]) -> str:
    return "".join(f"({one}) > /dev/null 2>&1 < /dev/null & " for one in commands) + "wait; true"


def _flows(sources: tuple[str, ...]) -> set[Flow]:
    found = map(_FLOW.match, _FLOWS.read_text().splitlines())
    flows = (_flow(*one.groups()) for one in found if one)
    return {flow for flow in flows if flow[1] in sources}


def _flow(protocol: str, source: str, to: str, here: str | None, there: str | None) -> Flow:
    kind = "icmp" if protocol == "icmpv6" else protocol
    return kind, str(ip_address(source)), str(ip_address(to)), int(there or 0), int(here or 0)
