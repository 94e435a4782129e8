"""How well a terminal survives a bad network: `paude attach` itself, behind a relay that fails on command.

Everything that is not the network is real: the session, its tmux, the API server, the supervisor and its sync, which
go by the same relay. A round trip is what a key takes to be echoed while nothing is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream, Process

from paude.bench.relay import Relay
from paude.bench.statistics import Summary, summarize
from paude.bench.typist import Typist, typist
from paude.errors import ConnectionLost
from paude.plans.terminal import show
from paude.process import run, started
from paude.settings import Paths
from paude.ssh.shell import State
from paude.ssh.ssh_config import agent_alias
from paude.tunnel.base import Dialer
from paude.tunnel.link import Senses

SCHEMA = 1
LIMIT_S = 120.0
KEYS = 4096
MIB = 1024 * 1024
_ERASE = b"\x15"
_UPLINK = 256e3  # bytes a second
_HALF_OPEN_S = 2.0
_SLEPT_S = 3600.0


@dataclass(frozen=True)
class Plan:
    """How often and how long each thing is done; seconds, MiB."""

    echoes: int = 50
    cuts: int = 50
    outages: int = 10
    outage_s: float = 60.0
    long_outage_s: float = 0.0
    sleeps: int = 10
    black_holes: int = 10
    full_uplink_s: float = 60.0
    bulk_mib: int = 1024
    syncs: int = 5


@dataclass(frozen=True)
class AttachReport:
    """Seconds each, until typing works again, or as the name says."""

    echo: Summary
    cuts: Summary
    outages: Summary
    long_outage_s: float | None
    sleeps: Summary
    black_hole_shown: Summary
    full_uplink_s: float
    full_uplink_drops: int
    dials_in_a_second: int
    dials_each_s: float
    keys_lost: int
    keys_doubled: int
    bulk_mib_s: float
    echo_beside_bulk: Summary
    sync_after_terminal: Summary

    @property
    def promised_s(self) -> float:
        """1 s and eight round trips."""
        return 1.0 + 8 * self.echo.median

    def rows(self) -> list[tuple[str, str, str, bool]]:
        """Each promise: what it is about, what was found, what was promised, whether it was kept."""
        soon = self.promised_s
        beside = self.echo_beside_bulk.p95 - self.echo.p95
        waits = [
            (f"after a cut of 1 s ({self.cuts.count})", self.cuts),
            (f"after an outage ({self.outages.count})", self.outages),
            (f"after a sleep ({self.sleeps.count})", self.sleeps),
        ]
        rows = [(what, _p95(one), f"p95 ≤ {soon:.2f} s", one.p95 <= soon) for what, one in waits]
        if self.long_outage_s is not None:
            kept = self.long_outage_s <= soon
            rows.append(("after the long outage", f"{self.long_outage_s:.2f} s", f"≤ {soon:.2f} s", kept))
        hole, sync = self.black_hole_shown, self.sync_after_terminal
        drops = f"{self.full_uplink_drops} drops in {self.full_uplink_s:g} s"
        keys = f"{self.keys_lost} lost, {self.keys_doubled} doubled"
        dials = f"{self.dials_in_a_second} in 1 s, {self.dials_each_s:.2f} a second"
        few = self.dials_in_a_second <= 5 and self.dials_each_s <= 0.5
        return [
            *rows,
            ("a black hole is shown", _p95(hole), "≤ 3 s", hole.most <= 3),
            ("a full uplink", drops, "none", not self.full_uplink_drops),
            ("dials in the outages", dials, "≤ 5 in 1 s, ≤ 0.5 a second", few),
            (f"{KEYS} bytes typed while down", keys, "none", not (self.keys_lost or self.keys_doubled)),
            ("echo beside bulk", f"p95 {1000 * beside:+.0f} ms", "≤ +50 ms", beside <= 0.05),
            ("sync after the terminal", _p95(sync), "≤ 1 s", sync.p95 <= 1),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        promises = [dict(zip(("what", "found", "promised", "kept"), row, strict=True)) for row in self.rows()]
        return {"schema": SCHEMA, "kind": "attach", "promises": promises, **asdict(self)}

    def to_text(self) -> str:
        """The report for people."""
        head = f"echo of a key: median {1000 * self.echo.median:.1f} ms, p95 {1000 * self.echo.p95:.1f} ms"
        bulk = f"; bulk beside it {self.bulk_mib_s:.0f} MiB/s"
        rows = [("typing works again", "found", "promised", ""), *self._shown()]
        wide = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*(row[n].ljust(wide[n]) for n in range(3)), row[3]]).rstrip() for row in rows]
        return "\n".join([head + bulk, "", *lines])

    def _shown(self) -> list[tuple[str, str, str, str]]:
        return [(what, found, promised, "" if kept else "NOT KEPT") for what, found, promised, kept in self.rows()]


def _p95(found: Summary) -> str:
    return f"p95 {found.p95:.2f} s, median {found.median:.2f} s"


@dataclass
class Counted:
    """A Dialer that remembers when it was asked."""

    dialer: Dialer
    times: list[float] = field(default_factory=list)

    async def dial(self, port: int) -> ByteStream:
        """As the one below."""
        self.times.append(time.monotonic())
        return await self.dialer.dial(port)


class Clock:
    """What tells an attachment of the world, with a clock that can be put forward as if the laptop had slept."""

    def __init__(self) -> None:
        self.slept = 0.0

    @property
    def senses(self) -> Senses:
        """The facts."""
        return Senses(lambda: time.monotonic() + self.slept, time.monotonic, lambda: "always the same")


class Observed:
    """The states that the attachment told."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self._news = anyio.Event()

    def told(self, state: State) -> None:
        """Remember one."""
        self.states.append(state)
        self._news.set()
        self._news = anyio.Event()

    async def becomes(self, *wanted: State) -> None:
        """Return once it is in one of these. Raises TimeoutError."""
        with anyio.fail_after(LIMIT_S):
            while not self.states or self.states[-1] not in wanted:
                await self._news.wait()


@dataclass
class Bench:
    """A session that is attached, and everything that can be done to it."""

    paths: Paths
    name: str
    workspace: Path
    relay: Relay
    clock: Clock
    dialer: Counted
    observed: Observed
    typist: Typist
    tell: Callable[[str], None]
    _numbers: count[int] = field(default_factory=lambda: count(1))

    async def run(self, plan: Plan) -> AttachReport:
        """Everything, one after the other."""
        await self.observed.becomes(State.LIVE)
        await self._typed()
        echo = await self._repeated("echo", plan.echoes, self._echo)
        hole = await self._repeated("black hole", plan.black_holes, self._black_hole)
        cuts = await self._repeated("cut of 1 s", plan.cuts, self._cut)
        sleeps = await self._repeated("sleep", plan.sleeps, self._sleep)
        lost, doubled = await self._keys()
        sync = await self._repeated("sync", plan.syncs, self._sync)
        drops = await self._full_uplink(plan.full_uplink_s)
        bulk, beside = await self._bulk(plan.bulk_mib)
        outages, most, each = await self._long_outages(plan)
        long_s = await self._outage(plan.long_outage_s) if plan.long_outage_s else None
        return AttachReport(
            echo=echo,
            cuts=cuts,
            outages=outages,
            long_outage_s=long_s,
            sleeps=sleeps,
            black_hole_shown=hole,
            full_uplink_s=plan.full_uplink_s,
            full_uplink_drops=drops,
            dials_in_a_second=most,
            dials_each_s=each,
            keys_lost=lost,
            keys_doubled=doubled,
            bulk_mib_s=bulk,
            echo_beside_bulk=beside,
            sync_after_terminal=sync,
        )

    async def _repeated(self, what: str, times: int, once: Callable[[], Any]) -> Summary:
        found = summarize([await once() for _ in range(times)])
        self.tell(f"{what}: median {found.median:.3f} s, p95 {found.p95:.3f} s ({times})")
        return found

    # --- typing

    async def _echo(self) -> float:
        seconds = await self._typed()
        await anyio.sleep(0.02)  # a user does not type faster, and tmux gathers what comes at once
        return seconds

    async def _typed(self) -> float:
        """Seconds until a new word that is typed was shown."""
        word = b"%%%d%%" % next(self._numbers)
        self.typist.look_away()
        began = time.perf_counter()
        await self.typist.type(word)
        await self.typist.sees(word, LIMIT_S)
        seconds = time.perf_counter() - began
        await self.typist.type(_ERASE)
        return seconds

    async def _told_by_shell(self, command: str) -> None:
        """Type a command and return when it has run: the word that it prints is not the one that is typed."""
        number = next(self._numbers)
        self.typist.look_away()
        await self.typist.type(f"{command}; echo =$(({number}+1000))=\r".encode())
        await self.typist.sees(b"=%d=" % (number + 1000), LIMIT_S)

    # --- what is done to the link

    async def _cut(self) -> float:
        """The link is reset, and refuses for a second."""
        await self.observed.becomes(State.LIVE)
        self.relay.cut()
        await self.observed.becomes(State.DOWN)
        await anyio.sleep(1.0)
        self.relay.mend()
        return await self._typed()

    async def _outage(self, seconds: float) -> float:
        """Every packet is lost for so long, those of new connections too."""
        await self.observed.becomes(State.LIVE)
        self.relay.darken()
        await anyio.sleep(seconds)
        self.relay.lighten()
        return await self._typed()

    async def _sleep(self) -> float:
        """The router forgot the connections while the laptop slept."""
        await self.observed.becomes(State.LIVE)
        self.relay.forget()
        self.clock.slept += _SLEPT_S
        began = time.perf_counter()
        await self.observed.becomes(State.SUSPECT, State.DOWN)
        await self._typed()
        return time.perf_counter() - began

    async def _black_hole(self) -> float:
        """Seconds until the user sees that nothing answers, while he types."""
        await self.observed.becomes(State.LIVE)
        self.relay.stall()
        self.typist.look_away()
        began = time.perf_counter()
        await self.typist.type(b"x")
        await self.typist.sees(b"paude: no answer", LIMIT_S)
        seconds = time.perf_counter() - began
        self.relay.flow()
        await self.observed.becomes(State.LIVE)
        await self._typed()
        return seconds

    async def _long_outages(self, plan: Plan) -> tuple[Summary, int, float]:
        taken: list[float] = []
        dials: list[float] = []
        for _ in range(plan.outages):
            already = len(self.dialer.times)
            began = time.monotonic()
            taken.append(await self._outage(plan.outage_s))
            dials += [one for one in self.dialer.times[already:] if one - began < plan.outage_s]
            self.tell(f"outage of {plan.outage_s:g} s: {taken[-1]:.3f} s")
        return summarize(taken), most_within_a_second(dials), len(dials) / (plan.outages * plan.outage_s)

    async def _keys(self) -> tuple[int, int]:
        """How many of the words typed while the link was down were lost, and how many came twice."""
        number = next(self._numbers)
        self.typist.look_away()
        await self.typist.type(f"echo =$(({number}+1000))=; cat > /tmp/paude-bench-keys\r".encode())
        await self.typist.sees(b"=%d=" % (number + 1000), LIMIT_S)
        self.relay.cut()
        await self.observed.becomes(State.DOWN)
        words = key_words(KEYS)
        await self.typist.type(b"\r" + words)
        await anyio.sleep(1)
        self.relay.mend()
        await self.observed.becomes(State.LIVE)
        await self.typist.type(b"\x04")
        await self._told_by_shell("true")
        got = await run(self._ssh("cat /tmp/paude-bench-keys"))
        came = [word for word in got.text.split() if word.startswith("k")]
        typed = words.decode().split()
        self.tell(f"{len(came)} of {len(typed)} words typed while down have come")
        return len(set(typed) - set(came)), len(came) - len(set(came))

    async def _sync(self) -> float:
        """Seconds from a terminal that is live again until an edit that was made meanwhile is there."""
        await self.observed.becomes(State.LIVE)
        number = next(self._numbers)
        file = f"bench-{number}"
        self.relay.cut()
        await self.observed.becomes(State.DOWN)
        await anyio.sleep(_HALF_OPEN_S)
        (self.workspace / file).write_text("edited while the link was down")
        self.typist.look_away()
        loop = f"until [ -e /workspace/{file} ]; do sleep 0.01; done; echo =$(({number}+1000))=\r"
        await self.typist.type(loop.encode())
        self.relay.mend()
        await self.observed.becomes(State.LIVE)
        began = time.perf_counter()
        await self.typist.sees(b"=%d=" % (number + 1000), LIMIT_S)
        return time.perf_counter() - began

    async def _full_uplink(self, seconds: float) -> int:
        """How often the terminal lost its link while another stream fills the way out."""
        await self.observed.becomes(State.LIVE)
        before = len(self.observed.states)
        self.relay.rate = _UPLINK
        try:
            async with self._bulk_child("cat > /dev/null") as child:
                with anyio.move_on_after(seconds):
                    await child.wait()
                ended = child.returncode is not None
        finally:
            self.relay.rate = 0
        drops = self.observed.states[before:].count(State.DOWN) + ended
        self.tell(f"a full uplink for {seconds:g} s: {drops} drops")
        return drops

    async def _bulk(self, mib: int) -> tuple[float, Summary]:
        """MiB a second of a transfer, and what a key takes meanwhile."""
        await self.observed.becomes(State.LIVE)
        seconds: list[float] = []
        began = time.perf_counter()
        async with self._bulk_child(f"head -c {mib * MIB} /dev/zero") as child, anyio.create_task_group() as tasks:

            async def type_meanwhile() -> None:
                while True:
                    seconds.append(await self._echo())

            tasks.start_soon(type_meanwhile)
            await child.wait()
            taken = time.perf_counter() - began
            tasks.cancel_scope.cancel()
        await self.typist.type(_ERASE)
        if not seconds:
            seconds.append(await self._typed())
        found = summarize(seconds)
        self.tell(f"bulk {mib / taken:.0f} MiB/s; echo beside it: p95 {found.p95:.3f} s ({found.count})")
        return mib / taken, found

    def _ssh(self, command: str) -> Sequence[str]:
        return ["ssh", "-F", str(self.paths.state / "ssh_config"), "-T", agent_alias(self.name), "--", command]

    @asynccontextmanager
    async def _bulk_child(self, command: str) -> AsyncIterator[Process]:
        """A transfer by ssh: what it reads is zeros, what it prints goes nowhere."""
        with ExitStack() as ends:
            zeros, nowhere = os.open("/dev/zero", os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
            for one in (zeros, nowhere):
                ends.callback(os.close, one)
            async with started(self._ssh(command), stdin=zeros, stdout=nowhere, stderr=nowhere) as child:
                yield child


def most_within_a_second(times: Sequence[float]) -> int:
    """The most events that lie within one second."""
    return max((sum(begin <= one < begin + 1 for one in times) for begin in times), default=0)


def key_words(size: int) -> bytes:
    """Words that are all different, in short lines, `size` bytes with the key before them that ends a line."""
    words = b""
    for number in count():
        word = b"k%04d" % number + (b"\r" if number % 10 == 9 else b" ")
        if len(words) + len(word) > size - 2:
            return words + b"\r"
        words += word
    raise AssertionError("unreachable")


@asynccontextmanager
async def attached(
    paths: Paths, name: str, workspace: Path, dialer: Dialer, relay: Relay, tell: Callable[[str], None]
) -> AsyncIterator[Bench]:
    """The session's terminal, attached in this process, by way of `relay`."""
    counted, clock, observed = Counted(dialer), Clock(), Observed()
    with typist() as one:
        async with anyio.create_task_group() as tasks:

            async def attach() -> None:
                ended = await show(name, paths, counted, one.terminal, senses=clock.senses, told=observed.told)
                raise ConnectionLost("the terminal ended during the measurement", why=type(ended).__name__)

            tasks.start_soon(attach)
            yield Bench(paths, name, workspace, relay, clock, counted, observed, one, tell)
            tasks.cancel_scope.cancel()
