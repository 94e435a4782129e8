"""How fast the sync is in a running session: edits both ways, a burst of files, the first content, others beside it.

The other end is a shell loop over the session's own ssh, which answers as soon as a file has the wanted content. So
each figure holds half a round trip that is not the sync's; the round trip itself is measured and told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from paude.bench.peers import PeerReport
from paude.bench.statistics import Summary, summarize
from paude.errors import ConnectionLost, TimedOut
from paude.process import started
from paude.settings import Paths
from paude.ssh.ssh_config import agent_alias

SCHEMA = 1
LIMIT_S = 60.0
LOOK_S = 0.001
BURST = 1000
DIRECTORIES = 100
# It forks nothing while it looks: a process each 2 ms takes half a processor from what is measured.
_LOOP = r"""
cd /workspace; exec 9<> <(:); shopt -s nullglob; echo ready
while IFS=' ' read -r verb path text; do case $verb in
echo) ;;
write) printf %s "$text" > "$path";;
expect) until found=; { IFS= read -r found < "$path"; } 2>/dev/null; [ "$found" = "$text" ]
  do read -t 0.002 -u 9; done;;
burst) mkdir -p "$path"; for n in $(seq "$text"); do echo "$n" > "$path/$n"; done;;
count) until all=("$path"/*); [ "${#all[@]}" = "$text" ]; do read -t 0.01 -u 9; done;;
esac; echo done; done
"""


@dataclass(frozen=True)
class SyncReport:
    """Seconds from the first byte of the content: `first_sync_s` to both sides in step, `stream_s` to its last one."""

    files: int
    bytes: int
    round_trip: Summary
    latencies: dict[str, Summary]
    bursts: dict[str, float]
    first_sync_s: float
    stream_s: float
    peers: tuple[PeerReport, ...] = ()

    @property
    def first_sync_mb_s(self) -> float:
        """Millions of bytes in a second."""
        return self.bytes / 1e6 / self.first_sync_s

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"schema": SCHEMA, "kind": "sync", "first_sync_mb_s": self.first_sync_mb_s, **asdict(self)}

    def to_text(self) -> str:
        """The report for people."""
        lines = [
            f"{self.files} files, {self.bytes / 1e6:.1f} MB; round trip {self.round_trip.median * 1000:.1f} ms",
            "",
            f"{'edit until it is at the other end':<36}{'median':>9}{'p95':>9}{'p99':>9}{'most':>9}  ms",
        ]
        for name, found in self.latencies.items():
            figures = "".join(f"{1000 * value:>9.0f}" for value in (found.median, found.p95, found.p99, found.most))
            lines.append(f"{name:<36}{figures}  ({found.count})")
        lines += ["", *(f"{BURST} new files, {name}: {seconds:.2f} s" for name, seconds in self.bursts.items())]
        first = f"first content: {self.first_sync_s:.2f} s, {self.first_sync_mb_s:.1f} MB/s"
        lines.append(f"{first}; its stream {self.stream_s:.2f} s")
        return "\n".join([*lines, "", *self._beside()])

    def _beside(self) -> list[str]:
        """The other programs, and how the first content compares with rsync's; the goal is against the faster one."""
        measured = (one for one in self.peers if one.program == "rsync" and one.first_s)
        compared = [
            f"first content / {one.name}: {self.first_sync_s / one.first_s:.2f}; "
            f"its stream / {one.name}: {self.stream_s / one.first_s:.2f}"
            for one in sorted(measured, key=lambda one: one.first_s)
        ]
        head = f"{'an edit, laptop to pod, by':<36}{'median':>9}{'p95':>9}{'most':>9}  ms"
        return [head, *map(str, self.peers), *compared]


def grow(root: Path, files: int) -> int:
    """A tree of `files` files like source text in `DIRECTORIES` directories; gives its bytes. Always the same one."""
    dice, total = Random(1), 0
    for number in range(files):
        path = root / f"d{number % DIRECTORIES}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(b"word%d " % dice.randrange(5000) for _ in range(dice.randrange(50, 1500)))
        path.write_bytes(content)
        total += len(content)
    return total


class Far:
    """The loop in the agent's container."""

    def __init__(self, child: Process) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._in, self._out = child.stdin, TextReceiveStream(child.stdout)
        self._rest = ""

    async def ask(self, verb: str, path: str = "", text: str = "") -> None:
        """Have it do something, and return when it is done. Raises TimedOut or ConnectionLost."""
        await self.tell(verb, path, text)
        await self.answer()

    async def tell(self, verb: str, path: str = "", text: str = "") -> None:
        """Have it begin."""
        await self._in.send(f"{verb} {path} {text}\n".encode())

    async def answer(self) -> None:
        """Wait for its next line."""
        try:
            with anyio.fail_after(LIMIT_S):
                while "\n" not in self._rest:
                    self._rest += await self._out.receive()
        except TimeoutError as exc:
            raise TimedOut("a change did not arrive", why=f"{LIMIT_S:g} s have passed") from exc
        except anyio.EndOfStream as exc:
            raise ConnectionLost("the other end of the measurement ended") from exc
        self._rest = self._rest.partition("\n")[2]


@asynccontextmanager
async def far_end(paths: Paths, name: str) -> AsyncIterator[Far]:
    """The other end, ready."""
    argv: list[str | Path] = [
        "ssh",
        "-F",
        paths.state / "ssh_config",
        "-T",
        agent_alias(name),
        "--",
        f"exec bash -c '{_quoted(_LOOP)}'",
    ]
    async with started(argv, stdin=True) as child:
        far = Far(child)
        await far.answer()
        yield far


def _quoted(script: str) -> str:
    return script.replace("'", "'\\''")


async def bench_edits(
    far: Far, workspace: Path, files: int, edits: int, tell: Callable[[str], None]
) -> tuple[Summary, dict[str, Summary], dict[str, float]]:
    """Round trips; edits of files that were never edited (cold) and of one again and again (hot); bursts."""
    trips = [await _timed(lambda: far.ask("echo")) for _ in range(edits)]
    order = Random(2).sample(range(files), 2 * edits + 1)
    paths = [f"d{n % DIRECTORIES}/f{n}" for n in order]
    found: dict[str, Summary] = {}
    for name, chosen, one in (
        ("laptop to pod, cold", paths[:edits], _outward),
        ("pod to laptop, cold", paths[edits : 2 * edits], _homeward),
        ("laptop to pod, hot", paths[-1:] * edits, _outward),
        ("pod to laptop, hot", paths[-1:] * edits, _homeward),
    ):
        found[name] = summarize([await one(far, workspace, path, f"{name}-{n}") for n, path in enumerate(chosen)])
        tell(f"{name}: {1000 * found[name].median:.0f} ms")
    bursts = {"laptop to pod": await _burst_out(far, workspace), "pod to laptop": await _burst_home(far, workspace)}
    return summarize(trips), found, bursts


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _outward(far: Far, workspace: Path, path: str, text: str) -> float:
    word = text.replace(" ", "_")
    await far.tell("expect", path, word)
    await anyio.sleep(0.05)  # until it looks
    began = time.perf_counter()
    (workspace / path).write_text(word)
    await far.answer()
    return time.perf_counter() - began


async def _homeward(far: Far, workspace: Path, path: str, text: str) -> float:
    word = text.replace(" ", "_")
    began = time.perf_counter()
    await far.tell("write", path, word)
    await _until(lambda: (workspace / path).read_text() == word)
    taken = time.perf_counter() - began
    await far.answer()
    await anyio.sleep(0.05)  # the cycle that brought it ends
    return taken


async def _burst_out(far: Far, workspace: Path) -> float:
    (workspace / "burst-out").mkdir()
    began = time.perf_counter()
    for number in range(BURST):
        (workspace / "burst-out" / str(number)).write_text(f"{number}\n")
    await far.ask("count", "burst-out", str(BURST))
    return time.perf_counter() - began


async def _burst_home(far: Far, workspace: Path) -> float:
    began = time.perf_counter()
    await far.tell("burst", "burst-home", str(BURST))
    await _until(lambda: _arrived(workspace / "burst-home") == BURST)
    await far.answer()
    return time.perf_counter() - began


def _arrived(directory: Path) -> int:
    """How many files are there by their final names."""
    return len([p for p in directory.iterdir() if p.name.isdecimal()]) if directory.is_dir() else 0


async def _until(seen: Callable[[], bool]) -> None:
    """A file system tells nobody that a file has the wanted content: looked at each millisecond."""
    try:
        with anyio.fail_after(LIMIT_S):
            while not seen():  # noqa: ASYNC110 -- there is no event
                await anyio.sleep(LOOK_S)
    except TimeoutError as exc:
        raise TimedOut("a change did not arrive", why=f"{LIMIT_S:g} s have passed") from exc
