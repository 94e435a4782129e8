"""The same tree over the same tunnel by other programs: rsync, unison and stock mutagen, those that are installed here.

Their other end lies in the agent's home, beside the session's own sync. rsync and unison do nothing by themselves:
their edit is a run after the edit. What a program needs at the other end is copied there.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from paude.bench.statistics import Summary, summarize
from paude.errors import CommandFailed
from paude.process import quiet_environment, run
from paude.settings import Paths
from paude.ssh.ssh_config import agent_alias

HOME = "/home/paude"
EDITS = 5

Arrives = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True)
class PeerReport:
    """Seconds: of the first content, and from an edit here until it is there. `why_not` says why there are none."""

    name: str
    first_s: float = 0.0
    edit: Summary | None = None
    why_not: str = ""

    @property
    def program(self) -> str:
        """The name without its options."""
        return self.name.partition(" ")[0]

    def __str__(self) -> str:
        if self.edit is None:
            return f"{self.name}: not measured, {self.why_not}"
        figures = (self.edit.median, self.edit.p95, self.edit.most)
        return f"{self.name:<36}" + "".join(f"{1000 * one:>9.0f}" for one in figures) + f"  first {self.first_s:.2f} s"


@dataclass(frozen=True)
class _Run:
    """One program at work: `first` brings everything, `bring` one edit (nothing for those that watch)."""

    first: Callable[[], Awaitable[None]]
    bring: Callable[[], Awaitable[None]]


_Opened = Callable[[Paths, str, Path, Path], AbstractAsyncContextManager[_Run]]


async def bench_peers(
    paths: Paths, name: str, tree: Path, work: Path, arrives: Arrives, tell: Callable[[str], None]
) -> tuple[PeerReport, ...]:
    """Measure each program with `tree`, which they only read; `arrives` returns when a path there holds a text."""
    found = []
    for called, opened in _PEERS.items():
        found.append(await _measured(called, opened, paths, name, tree, work, arrives))
        tell(str(found[-1]))
    return tuple(found)


async def _measured(
    called: str, opened: _Opened, paths: Paths, name: str, tree: Path, work: Path, arrives: Arrives
) -> PeerReport:
    if shutil.which(PeerReport(called).program) is None:
        return PeerReport(called, why_not="it is not installed here")
    copy = work / called.replace(" ", "")
    shutil.copytree(tree, copy)
    try:
        async with opened(paths, name, copy, work) as one:
            began = time.perf_counter()
            await one.first()
            first = time.perf_counter() - began
            edits = [await _edit(one, copy, path, f"{copy.name}-{n}", arrives) for n, path in enumerate(_some(copy))]
        return PeerReport(called, first, summarize(edits))
    except CommandFailed as exc:
        return PeerReport(called, why_not=exc.why or str(exc))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _some(tree: Path) -> list[Path]:
    """A few files, from all over the tree."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    return files[:: max(1, len(files) // EDITS)][:EDITS]


async def _edit(one: _Run, copy: Path, path: Path, text: str, arrives: Arrives) -> float:
    began = time.perf_counter()
    await anyio.Path(path).write_text(text)
    await one.bring()
    await arrives(f"{HOME}/peer-{copy.name}/{path.relative_to(copy)}", text)
    return time.perf_counter() - began


async def _nothing() -> None:
    return None


def _ssh(paths: Paths) -> list[str]:
    return ["ssh", "-F", str(paths.state / "ssh_config")]


def _rsync(*options: str) -> _Opened:
    @asynccontextmanager
    async def opened(paths: Paths, name: str, copy: Path, work: Path) -> AsyncIterator[_Run]:
        target = f"{agent_alias(name)}:{HOME}/peer-{copy.name}/"

        async def bring() -> None:
            await run(["rsync", *options, "-e", shlex.join(_ssh(paths)), f"{copy}/", target])

        yield _Run(bring, bring)

    return opened


@asynccontextmanager
async def _unison(paths: Paths, name: str, copy: Path, work: Path) -> AsyncIterator[_Run]:
    ssh, alias = _ssh(paths), agent_alias(name)
    program = await anyio.Path(shutil.which("unison") or "").read_bytes()
    receive = f"mkdir -p {HOME}/peer-unison && cat > {HOME}/.unison-peer && chmod 755 {HOME}/.unison-peer"
    await run([*ssh, alias, receive], stdin=program)
    environment = quiet_environment(UNISON=str(work / "unison-data"), UNISONLOCALHOSTNAME="laptop")
    # Modes are not compared: a volume has its own.
    options = [
        "-batch",
        "-silent",
        "-auto",
        "-perms",
        "0",
        "-dontchmod",
        "-contactquietly",
        "-sshargs",
        shlex.join(ssh[1:]),
    ]
    words = ["unison", str(copy), f"ssh://{alias}/{HOME}/peer-unison", "-servercmd", f"{HOME}/.unison-peer", *options]

    async def bring() -> None:
        await run(words, env=environment)

    yield _Run(bring, bring)


@asynccontextmanager
async def _mutagen(paths: Paths, name: str, copy: Path, work: Path) -> AsyncIterator[_Run]:
    shims = work / "shims"
    shims.mkdir()
    for one in ("ssh", "scp"):
        words = shlex.join([shutil.which(one) or one, "-F", str(paths.state / "ssh_config")])
        (shims / one).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (shims / one).chmod(0o700)
    environment = quiet_environment(
        MUTAGEN_DATA_DIRECTORY=str(work / "mutagen-data"), MUTAGEN_SSH_PATH=str(shims), MUTAGEN_SSH_CONNECT_TIMEOUT="60"
    )

    async def call(*words: str) -> None:
        await run(["mutagen", *words], env=environment)

    async def first() -> None:
        target = f"{agent_alias(name)}:{HOME}/peer-mutagen"
        await call("sync", "create", "--name=bench", "--no-global-configuration", str(copy), target)
        await call("sync", "flush", "bench")

    try:
        yield _Run(first, _nothing)
    finally:
        await run(["mutagen", "sync", "terminate", "bench"], env=environment, check=False)
        await run(["mutagen", "daemon", "stop"], env=environment, check=False)


_PEERS: dict[str, _Opened] = {
    "rsync -a": _rsync("-a"),
    "rsync -a -z": _rsync("-a", "-z"),
    "unison": _unison,
    "mutagen": _mutagen,
}
