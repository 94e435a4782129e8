"""What the tests ask of the fake internet: what arrived, who was asked for, whom to trust."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from world import zone

STATE = Path(os.environ.get("PAUDE_WORLD_STATE", "/var/tmp/paude-world"))


@dataclass(frozen=True)
class Seen:
    """What arrived in the fake internet, up to a moment or between two."""

    opened: dict[str, int] = field(default_factory=dict)
    payload: dict[str, int] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)

    def hits(self, where: str, port: int | None = None, protocol: str | None = None) -> int:
        """Connections, datagrams and pings that arrived at a name or an address (at one port, by one protocol)."""
        return _sum(self.opened, where, port, protocol)

    def bytes_to(self, where: str, port: int | None = None, protocol: str | None = None) -> int:
        """The bytes that arrived there after the headers."""
        return _sum(self.payload, where, port, protocol)

    def queries(self, name: str) -> list[dict[str, Any]]:
        """The questions about a name, or about anything below it."""
        return [one for one in self.questions if one["name"] == name or one["name"].endswith("." + name)]

    def asked(self, sni: str) -> list[dict[str, Any]]:
        """The requests that an origin understood and that were made for this server name."""
        return [one for one in self.requests if one["sni"] == sni]

    def outside(self) -> dict[str, int]:
        """Everything that arrived anywhere but at the resolver."""
        return {key: n for key, n in self.opened.items() if key.split()[1] not in zone.RESOLVERS}


class World:
    """The running fake internet; raises FileNotFoundError or ConnectionRefusedError when it is not up."""

    def __init__(self, state: Path = STATE) -> None:
        self.state = state
        self.ca_path = state / "ca.crt"
        self.resolver = zone.RESOLVER

    def seen(self) -> Seen:
        """Everything since it came up, up to and including what arrived before this call."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.state / "control"))
            control.sendall(b"?\n")
            return Seen(**json.loads(control.makefile("rb").readline()))

    @contextmanager
    def watching(self, *clients: str) -> Iterator[Seen]:
        """What arrives during the block (from these addresses); the value is complete when the block has ended.

        The world is shared: whoever asserts that nothing came names the client whose silence is meant.
        """
        before, found = self.seen(), Seen()
        yield found
        after = self.seen()
        found.opened.update(_more(before.opened, after.opened, clients))
        found.payload.update(_more(before.payload, after.payload, clients))
        for kind in ("questions", "requests", "heard"):
            fresh = getattr(after, kind)[len(getattr(before, kind)) :]
            getattr(found, kind).extend(one for one in fresh if not clients or one["client"] in clients)

    def hits(self, name: str) -> int:
        """Arrivals at a name since the world came up."""
        return self.seen().hits(name)

    def queries(self, name: str) -> list[dict[str, Any]]:
        """Questions about a name, or below it, since the world came up."""
        return self.seen().queries(name)


def _more(before: dict[str, int], after: dict[str, int], clients: Collection[str]) -> dict[str, int]:
    more = {key: n - before.get(key, 0) for key, n in after.items() if n > before.get(key, 0)}
    return {key: n for key, n in more.items() if not clients or key.split()[3] in clients}


def _sum(counts: dict[str, int], where: str, port: int | None, protocol: str | None) -> int:
    addresses = zone.addresses(where)
    split = ((key.split(), n) for key, n in counts.items())
    return sum(
        n
        for (kind, address, number, _), n in split
        if address in addresses and port in (None, int(number)) and protocol in (None, kind)
    )
