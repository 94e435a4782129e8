"""How good a tunnel is: throughput and round trips beside `kubectl port-forward`, and what a bad link does to it.

The other end is a small server in the agent's container; both kinds are read and written by the same code, in turns,
so that a slow moment is slow for both.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import anyio
from anyio.abc import ByteStream

from paude.bench.relay import Relay
from paude.bench.statistics import Summary, summarize
from paude.errors import ConnectionLost, PaudeError
from paude.process import started
from paude.settings import Paths
from paude.ssh.ssh_config import agent_alias
from paude.tunnel.backoff import Backoff
from paude.tunnel.base import Dialer, Suspectable

SCHEMA = 1
PORT = 7007
MIB = 1024 * 1024
ROUND_TRIPS = 200
REACHED_S = 60.0
_CHUNK = 64 * 1024
_ORDER = 16  # bytes of a request
_BLOCK = Random(4).randbytes(4 * MIB)
# Answers `down N`, `up N` and `back N`, each padded to 16 bytes; it lets the other side close first.
_SERVER = r"""
use strict; use IO::Socket::INET; $SIG{CHLD} = "IGNORE"; $SIG{PIPE} = "IGNORE"; $| = 1;
my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:PORT", Listen => 64, ReuseAddr => 1) or die "$!"; print "ready\n";
while (my $c = $s->accept) { next if fork; my ($order, $data) = ("", "");
while (length $order < 16) { sysread($c, $order, 16 - length $order, length $order) or exit }
my ($verb, $left) = split " ", $order; my $zeros = "\0" x 65536;
if ($verb eq "down") { while ($left > 0) { $left -= syswrite($c, $zeros, $left < 65536 ? $left : 65536) || exit } }
if ($verb eq "up") { while ($left > 0) { $left -= sysread($c, $data, 65536) || exit } syswrite($c, "done\n") }
if ($verb eq "back") { while ($left > 0) { my $n = sysread($c, $data, 65536) || exit; $left -= $n;
my $at = 0; while ($at < $n) { $at += syswrite($c, $data, $n - $at, $at) || exit } } }
1 while sysread($c, $data, 65536); exit }
"""


@dataclass(frozen=True)
class Figures:
    """One kind of tunnel: MiB a second each way, and seconds of a round trip."""

    down: Summary
    up: Summary
    round_trip: Summary


@dataclass(frozen=True)
class TunnelReport:
    """`kinds` by name, paude's own first; the rest is of paude's own."""

    mib: int
    kinds: Mapping[str, Figures]
    exact_mib: int
    exact: bool
    throttled_s: float
    throttled_lost: bool
    black_hole_s: Summary

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"schema": SCHEMA, "kind": "tunnel", "over": self.over, **asdict(self)}

    @property
    def over(self) -> dict[str, dict[str, float]]:
        """paude's medians over those of each other kind."""
        ours, *_ = self.kinds.values()
        return {
            name: {
                "down": ours.down.median / theirs.down.median,
                "up": ours.up.median / theirs.up.median,
                "round_trip": ours.round_trip.median / theirs.round_trip.median,
            }
            for name, theirs in list(self.kinds.items())[1:]
        }

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"{self.mib} MiB each way, {ROUND_TRIPS} round trips, in turns; medians (least to most)", ""]
        lines.append(f"{'':<26}{'down, MiB/s':>22}{'up, MiB/s':>22}{'round trip, ms':>22}")
        for name, found in self.kinds.items():
            trip = found.round_trip
            shown = (_span(found.down), _span(found.up), _span(trip, 1000, 2))
            lines.append(f"{name:<26}" + "".join(f"{one:>22}" for one in shown))
        for name, ratio in self.over.items():
            lines.append(f"over {name:<21}" + "".join(f"{ratio[key]:>22.2f}" for key in ("down", "up", "round_trip")))
        hole = self.black_hole_s
        lines += [
            "",
            f"{self.exact_mib} MiB there and back: {'byte-exact' if self.exact else 'NOT THE SAME BYTES'}",
            f"{self.throttled_s:g} s of a full uplink: {'BROKE OFF' if self.throttled_lost else 'held'}",
            f"a black hole, once asked for: noticed after {hole.median:.2f} s (most {hole.most:.2f})",
        ]
        return "\n".join(lines)


def _span(found: Summary, factor: float = 1.0, digits: int = 0) -> str:
    median, least, most = (f"{factor * value:.{digits}f}" for value in (found.median, found.least, found.most))
    return f"{median} ({least} to {most})"


@asynccontextmanager
async def serving(paths: Paths, name: str, port: int = PORT) -> AsyncIterator[None]:
    """The server in the agent's container, while the block runs. Raises ConnectionLost when it does not start."""
    script = f"exec perl -e {shlex.quote(_SERVER.replace('PORT', str(port)))}"
    words = ["ssh", "-F", str(paths.state / "ssh_config"), "-T", agent_alias(name), "--", script]
    async with started(words, stdin=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            await child.stdout.receive()
        except anyio.EndOfStream as exc:
            why = (await child.stderr.receive()).decode("utf-8", "replace")
            raise ConnectionLost("the other end of the measurement does not start", why=why) from exc
        yield


async def bench_tunnel(
    kinds: Mapping[str, Dialer],
    through: Dialer,
    relay: Relay,
    *,
    mib: int,
    rounds: int,
    exact_mib: int,
    throttled_s: float,
    tell: Callable[[str], None],
    port: int = PORT,
) -> TunnelReport:
    """Measure each of `kinds`; `through` is paude's own kind again, by way of `relay`."""
    found: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in kinds}
    for dialer in kinds.values():
        await _reached(dialer, port)
    for number in range(rounds):
        for name, dialer in kinds.items():
            down, up = await download(dialer, port, mib * MIB), await upload(dialer, port, mib * MIB)
            found[name].append((down, up, await round_trips(dialer, port)))
            tell(f"{number + 1} of {rounds}, {name}: {down:.0f} down, {up:.0f} up")
    first, *_ = kinds.values()
    exact = await comes_back_exactly(first, port, exact_mib * MIB)
    tell(f"{exact_mib} MiB came back")
    lost = not await survives_a_full_uplink(through, port, relay, throttled_s)
    tell(f"{throttled_s:g} s of a full uplink are over")
    holes = [await black_hole(through, port, relay) for _ in range(rounds)]
    figures = {name: _figures(rows) for name, rows in found.items()}
    return TunnelReport(mib, figures, exact_mib, exact, throttled_s, lost, summarize(holes))


async def _reached(dialer: Dialer, port: int) -> None:
    """Return when the way works: kubectl wants a pod whose state says that it runs, and that is told late."""
    backoff = Backoff(1.0)
    with anyio.fail_after(REACHED_S):
        while True:
            try:
                await round_trips(dialer, port, 1)
            except ConnectionLost:
                await backoff.wait()
            else:
                return


def _figures(rows: list[tuple[float, float, list[float]]]) -> Figures:
    trips = [seconds for _, _, some in rows for seconds in some]
    return Figures(summarize([row[0] for row in rows]), summarize([row[1] for row in rows]), summarize(trips))


async def _asked(dialer: Dialer, port: int, verb: str, size: int) -> ByteStream:
    stream = await dialer.dial(port)
    await stream.send(f"{verb} {size}".ljust(_ORDER).encode())
    return stream


async def download(dialer: Dialer, port: int, size: int) -> float:
    """MiB a second from the pod, counted from the first byte."""
    async with await _asked(dialer, port, "down", size) as stream:
        first = got = len(await stream.receive())
        began = time.perf_counter()
        while got < size:
            got += len(await stream.receive())
        return (got - first) / (time.perf_counter() - began) / MIB


async def upload(dialer: Dialer, port: int, size: int) -> float:
    """MiB a second into the pod, until the server there says that it has all."""
    chunk = bytes(_CHUNK)
    async with await _asked(dialer, port, "up", size) as stream:
        began = time.perf_counter()
        for _ in range(size // _CHUNK):
            await stream.send(chunk)
        assert await stream.receive() == b"done\n"
        return size / (time.perf_counter() - began) / MIB


async def round_trips(dialer: Dialer, port: int, count: int = ROUND_TRIPS) -> list[float]:
    """Seconds from a byte sent to the same byte received."""
    taken = []
    async with await _asked(dialer, port, "back", count + 1) as stream:
        for number in range(count + 1):
            began = time.perf_counter()
            await stream.send(b"x")
            await stream.receive()
            if number:
                taken.append(time.perf_counter() - began)
    return taken


async def comes_back_exactly(dialer: Dialer, port: int, size: int) -> bool:
    """Whether so many bytes are the same after the way there and back."""
    sent, came = hashlib.sha256(), hashlib.sha256()

    async def feed(stream: ByteStream) -> None:
        for at in range(0, size, _CHUNK):
            chunk = _BLOCK[at % len(_BLOCK) :][: min(_CHUNK, size - at)]
            sent.update(chunk)
            await stream.send(chunk)

    async with await _asked(dialer, port, "back", size) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(feed, stream)
        got = 0
        while got < size:
            data = await stream.receive()
            came.update(data)
            got += len(data)
    return sent.digest() == came.digest()


async def survives_a_full_uplink(dialer: Dialer, port: int, relay: Relay, seconds: float, rate: float = 256e3) -> bool:
    """Whether a stream lives on while it sends more than the link takes; its bytes move all the time, if slowly."""
    relay.rate = rate
    try:
        async with await _asked(dialer, port, "up", 1 << 40) as stream:
            with anyio.move_on_after(seconds):
                while True:
                    await stream.send(bytes(_CHUNK))
        return True
    except PaudeError:
        return False
    finally:
        relay.rate = 0


async def black_hole(dialer: Dialer, port: int, relay: Relay) -> float:
    """Seconds until a stream whose link swallows everything is known to be dead, once somebody doubts it."""
    async with await _asked(dialer, port, "back", 1 << 40) as stream:
        await stream.send(b"x")
        await stream.receive()
        relay.stall()
        try:
            began = time.perf_counter()
            if isinstance(stream, Suspectable):
                stream.suspect()
            try:
                await stream.receive()
            except PaudeError:
                return time.perf_counter() - began
        finally:
            relay.flow()
    raise ConnectionLost("a black hole gave an answer")
