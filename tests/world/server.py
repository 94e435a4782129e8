"""The fake internet's one process, run inside its network namespace: resolver, origins, sinks and the counters.

What counts is what arrives: every packet is seen at the door by a packet socket, whatever the servers make of it, so a
probe is judged by the sink and never by the client that sent it. `control` in the state directory answers each line
with a JSON snapshot that holds everything that arrived before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from world import dns, model, zone

LIFETIME_S = float(os.environ.get("PAUDE_WORLD_LIFETIME", 4 * 3600))
PLAIN_PORTS = (22, 25, 80, 853, 8080, 8443)
DEVICE = "world0"
KEEP = 100_000
LONGEST = 4096
"""Of what a request brings, in bytes, so much is kept."""
_ETH_IPV4, _ETH_IPV6 = 0x0800, 0x86DD
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
# How neighbours find one another (RFC 4861) and what they listen to (RFC 2710, RFC 3810): of the link, not of a probe.
_OF_THE_LINK = frozenset({130, 131, 132, 133, 134, 135, 136, 137, 143})
_SYN, _ACK = 0x02, 0x10


class Ledger:
    """What arrived: packets by protocol, address, port and client; questions; requests that the origins understood."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.payload: Counter[str] = Counter()
        self.questions: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []

    def packet(self, frame: bytes) -> None:
        """Counts one IPv4 packet: the first of a TCP connection, every datagram, the bytes after the headers."""
        size, length, protocol = (frame[0] & 15) * 4, struct.unpack_from("!H", frame, 2)[0], frame[9]
        address, client = socket.inet_ntoa(frame[16:20]), socket.inet_ntoa(frame[12:16])
        self._count(protocol, address, client, frame[size:length])

    def packet6(self, frame: bytes) -> None:
        """The same of an IPv6 packet; what neighbours say to each other does not count."""
        body = frame[40 : 40 + struct.unpack_from("!H", frame, 4)[0]]
        if frame[24] == 0xFF or (frame[6] == _ICMP6 and body[0] in _OF_THE_LINK):
            return
        address, client = (socket.inet_ntop(socket.AF_INET6, frame[at : at + 16]) for at in (24, 8))
        self._count(_ICMP if frame[6] == _ICMP6 else frame[6], address, client, body)

    def _count(self, protocol: int, address: str, client: str, body: bytes) -> None:
        if protocol == _TCP and len(body) >= 20:
            key = f"tcp {address} {struct.unpack_from('!H', body, 2)[0]} {client}"
            self.opened[key] += body[13] & (_SYN | _ACK) == _SYN
            self.payload[key] += len(body) - (body[12] >> 4) * 4
        elif protocol == _UDP and len(body) >= 8:
            key = f"udp {address} {struct.unpack_from('!H', body, 2)[0]} {client}"
            self.opened[key] += 1
            self.payload[key] += len(body) - 8
        else:
            self.opened[f"{'icmp' if protocol == _ICMP else protocol} {address} 0 {client}"] += 1

    def snapshot(self) -> dict[str, Any]:
        """Everything so far, as JSON can hold it."""
        kept = {"questions": self.questions, "requests": self.requests, "heard": self.heard}
        return {
            "opened": {key: n for key, n in self.opened.items() if n},
            "payload": {key: n for key, n in self.payload.items() if n},
            **{name: entries[-KEEP:] for name, entries in kept.items()},
        }


class Door:
    """A packet socket on the namespace's only way in, for one address family."""

    def __init__(self, family: int, count: Callable[[bytes], None]) -> None:
        self._count = count
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(family))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._socket.bind((DEVICE, family))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self.drain)

    def drain(self) -> None:
        """Counts what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (_, _, kind, *_) = self._socket.recvfrom(65535)
                if kind != socket.PACKET_OUTGOING:
                    self._count(frame)


class Resolver(asyncio.DatagramProtocol):
    """The name server over UDP; `reply` serves TCP as well."""

    def __init__(self, ledger: Ledger, log: Path) -> None:
        self._ledger = ledger
        self._log = log.open("a", buffering=1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(ValueError, IndexError, struct.error):
            self._transport.sendto(self.reply(data, addr[0], "udp"), addr)

    def reply(self, data: bytes, client: str, over: str) -> bytes:
        """The answer to a query, which is noted before it is answered."""
        question = dns.parse(data)
        entry = {"at": time.time(), "name": question.name, "kind": question.kind, "client": client, "over": over}
        self._ledger.questions.append(entry)
        self._log.write(json.dumps(entry) + "\n")
        return dns.answer(question, zone.lookup)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries over TCP."""
        with contextlib.suppress(OSError, ValueError, IndexError, struct.error, asyncio.IncompleteReadError):
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                data = self.reply(await reader.readexactly(size), writer.get_extra_info("peername")[0], "tcp")
                writer.write(struct.pack("!H", len(data)) + data)
                await writer.drain()
        writer.close()


class Origins:
    """HTTPS on every address, port 443: tells who was asked for what."""

    def __init__(self, ledger: Ledger, state: Path) -> None:
        self._ledger = ledger
        self._stub = model.Stub()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(state / "origin.crt", state / "origin.key")
        self.context.sni_callback = self._remember

    @staticmethod
    def _remember(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.asked_for = name  # type: ignore[attr-defined]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests on one connection, one after the other."""
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, reader, writer)
        writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in rest)}
        body = await reader.readexactly(min(int(headers.get("content-length", 0)), 1 << 24))
        address, client = (writer.get_extra_info(end)[0] for end in ("sockname", "peername"))
        sni = getattr(writer.get_extra_info("ssl_object"), "asked_for", None)
        entry = {"address": address, "sni": sni, "host": headers.get("host"), "method": method, "path": path}
        reply = self._stub.answer(sni, path, headers, body) or model.Reply(f"hello from {sni}\n".encode(), "text/plain")
        entry |= {"client": client, "at": time.time(), "bytes": len(body), **reply.notes}
        if body:
            entry["hex"] = body[:LONGEST].hex()
        self._ledger.requests.append(entry)
        head_line = (
            f"HTTP/1.1 {reply.status}\r\nContent-Type: {reply.kind}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        )
        writer.write(head_line.encode() + reply.body)
        await writer.drain()


class World:
    """All servers of the fake internet."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._ledger = Ledger()

    async def run(self) -> None:
        """Serves until the process is told to stop, or for LIFETIME_S."""
        self._doors = [Door(_ETH_IPV4, self._ledger.packet)]
        resolvers = [(zone.RESOLVER, 53), (zone.RESOLVER, 5353), (zone.NODE_RESOLVER, 53)]
        everywhere = ["0.0.0.0"]
        if zone.HAS_IPV6:
            self._doors.append(Door(_ETH_IPV6, self._ledger.packet6))
            resolvers += [(zone.RESOLVER6, 53), (zone.RESOLVER6, 5353)]
            everywhere.append("::")
        loop = asyncio.get_running_loop()
        for address, port in resolvers:
            resolver = Resolver(self._ledger, self._state / "dns.log")
            await loop.create_datagram_endpoint(lambda: resolver, (address, port))  # noqa: B023 -- called at once
            await asyncio.start_server(resolver.stream, address, port)
        origins = Origins(self._ledger, self._state)
        await asyncio.start_server(origins.serve, everywhere, 443, ssl=origins.context, backlog=4096)
        for port in PLAIN_PORTS:
            await asyncio.start_server(self._sink, everywhere, port)
        control = self._state / "control"
        control.unlink(missing_ok=True)
        await asyncio.start_unix_server(self._control, str(control))
        await asyncio.sleep(LIFETIME_S)

    async def _sink(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(b"sink\r\n")
            heard = await asyncio.wait_for(reader.read(4096), 5)
            client = writer.get_extra_info("peername")[0]
            self._ledger.heard.append({"address": address, "port": port, "client": client, "hex": heard.hex()})
        writer.close()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.readline():
                for door in self._doors:
                    door.drain()
                await self._say(writer)
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter) -> None:
        text = json.dumps(self._ledger.snapshot())
        fresh = self._state / "hits.json.new"
        fresh.write_text(text)
        fresh.replace(self._state / "hits.json")
        writer.write(text.encode() + b"\n")
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(World(Path(sys.argv[1])).run())
