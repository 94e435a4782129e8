"""Notices that the laptop slept or changed its network, which no connection is told about."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

LOOK_S = 1.0
LOOK_ATTACHED_S = 0.5  # who opens the lid is to type again within a second
SLEPT_S = 2.0


@dataclass(frozen=True)
class Senses:
    """Where the facts come from: wall clock, steady clock, and the address that the way to the server begins at."""

    wall: Callable[[], float]
    steady: Callable[[], float]
    route: Callable[[], str | None]


def senses(host: str, port: int) -> Senses:
    """The real ones, for the way to `host`; a name is looked up once, now, by whoever calls this."""
    address = _address(host, port)
    return Senses(time.time, time.monotonic, lambda: source_address(address, port))


def _address(host: str, port: int) -> str:
    try:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return "192.0.2.1"  # of no network: shows only whether there is a way out, and which


def source_address(host: str, port: int) -> str | None:
    """The local address that packets to the address `host` would leave with, None without a way. Sends no packet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.connect((host, port))
            return str(one.getsockname()[0])
        except OSError:
            return None


class LinkMonitor:
    """Calls `changed` with the reason when the clock jumped (sleep) or a route came or changed."""

    def __init__(self, senses: Senses, changed: Callable[[str], None], look: float = LOOK_S) -> None:
        self._senses = senses
        self._changed = changed
        self._look = look
        self._drift = senses.wall() - senses.steady()
        self._route = senses.route()

    async def run(self) -> None:
        """Look again and again: neither fact has a portable event."""
        while True:
            await anyio.sleep(self._look)
            self.check()

    def check(self) -> None:
        """Look once."""
        drift, route = self._senses.wall() - self._senses.steady(), self._senses.route()
        slept, self._drift = drift - self._drift, drift
        before, self._route = self._route, route
        if slept > SLEPT_S:
            self._changed(f"awake after {slept:.0f} s")
        elif route is not None and route != before:
            self._changed("the network changed")
