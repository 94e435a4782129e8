"""IPv6 beside a lab: a namespace that owns the documentation block, a private one and the metadata address, and counts.

Lab and sink are joined by a pair of devices of their own: no packet of theirs ever sees this machine's other networks.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from world import client, zone
from world.lab import ROOT, Lab, run

HERE, THERE = "fd97:6::2", "fd97:6::1"
_ETH_IPV6 = 0x86DD
_CLONE_NEWNET = 0x40000000
_SYN, _ACK = 0x02, 0x10
_NAMES = {6: "tcp", 17: "udp", 58: "icmp"}
_UP_S = 10.0


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of a network namespace, held by this process."""

    def make() -> socket.socket:
        library = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}") as place:
            if library.setns(place.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"the namespace {namespace}")
        return socket.socket(family, kind, protocol)

    with ThreadPoolExecutor(1) as thread:  # only that thread goes there, and it ends
        return thread.submit(make).result()


@dataclass(frozen=True)
class Sink:
    """What arrives over IPv6; whatever the lab sent before a look is in it."""

    name: str
    door: socket.socket
    counts: Counter[str]

    def arrived(self) -> dict[str, int]:
        """By `PROTOCOL ADDRESS PORT`: first packets of TCP connections, datagrams, echo requests; so far."""
        with suppress(BlockingIOError):
            while True:
                frame, (_, _, kind, *_) = self.door.recvfrom(65535)
                if kind != socket.PACKET_OUTGOING:
                    self._count(frame)
        return dict(self.counts)

    def hits(self, address: str, port: int | None = None) -> int:
        """Those at one address."""
        split = ((key.split(), n) for key, n in self.arrived().items())
        return sum(n for (_, to, number), n in split if to == address and port in (None, int(number)))

    def outside(self) -> dict[str, int]:
        """Those anywhere but at the resolver."""
        return {key: n for key, n in self.arrived().items() if key.split()[1] != zone.RESOLVER6}

    def _count(self, frame: bytes) -> None:
        protocol, to, body = frame[6], IPv6Address(frame[24:40]), frame[40:]
        if protocol == 6 and body[13] & (_SYN | _ACK) != _SYN:
            return
        if protocol == 58 and body[0] != 128:
            return  # neighbours looking for each other
        if protocol not in _NAMES:
            return
        port = struct.unpack_from("!H", body, 2)[0] if protocol != 58 else 0
        self.counts[f"{_NAMES[protocol]} {to} {port}"] += 1


@contextmanager
def sink(place: Lab) -> Iterator[Sink]:
    """A namespace beside the lab, to which all of the lab's IPv6 leads; nothing of it is left."""
    name, device = f"{place.name}-6", f"{place.address.rpartition('.')[2]}x6"
    run("ip", "netns", "add", name)
    try:
        ours, theirs = ("ip", "-n", place.name), ("ip", "-n", name)
        run(*ours, "link", "add", "lab6", "type", "veth", "peer", "name", device, "netns", name)
        run(*ours, "addr", "add", f"{HERE}/64", "dev", "lab6", "nodad")
        run(*theirs, "addr", "add", f"{THERE}/64", "dev", device, "nodad")
        for end, link in ((ours, "lab6"), (theirs, device), (theirs, "lo")):
            run(*end, "link", "set", link, "up")
        run(*theirs, "addr", "add", f"{zone.RESOLVER6}/128", "dev", "lo", "nodad")
        for network in (zone.BLOCK6, *zone.FORBIDDEN6):
            run(*theirs, "route", "add", "local", network, "dev", "lo")
            run(*ours, "-6", "route", "add", network, "via", THERE)
        with (
            socket_in(name, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_IPV6)) as door,
            _served(name, place),
        ):
            door.bind((device, _ETH_IPV6))
            door.setblocking(False)
            yield Sink(name, door, Counter())
    finally:
        run("ip", "netns", "delete", name)


@contextmanager
def _served(name: str, place: Lab) -> Iterator[None]:
    """Resolver and origins, as a process of the namespace."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["ip", "netns", "exec", name, sys.executable, "-m", "world.six", str(place.directory)]
    with subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            until = time.monotonic() + _UP_S
            while not (place.directory / "serving").exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise AssertionError(server.communicate(timeout=1)[1].decode())
                time.sleep(0.02)
            yield
        finally:
            server.kill()


async def _serve(directory: Path) -> None:
    from world.server import Ledger, Origins, Resolver

    ledger = Ledger()
    resolver = Resolver(ledger, directory / "dns6.log")
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: resolver, (zone.RESOLVER6, 53))
    await asyncio.start_server(resolver.stream, zone.RESOLVER6, 53)
    origins = Origins(ledger, client.STATE)
    context: ssl.SSLContext = origins.context
    await asyncio.start_server(origins.serve, "::", 443, ssl=context)
    await asyncio.start_server(_greet, "::", 80)
    (directory / "serving").touch()
    await asyncio.Event().wait()


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
