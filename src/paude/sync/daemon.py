"""The sync daemon: one `paude-sync daemon run` per user, a child of the supervisor, and how it is spoken to.

Everything of it lies in `Paths.sync` and nothing of the user's own mutagen is touched. Its environment is fixed at its
start: which ssh it uses, and that it does not give up while a tunnel is down.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from paude import artifacts
from paude.errors import PaudeError, TimedOut
from paude.process import Completed, ToolMissing, clean, quiet_environment, run, started
from paude.settings import Paths
from paude.ssh.fdpass import SUPERVISED
from paude.ssh.ssh_config import MEMORY

START_LIMIT_S = 20.0
# The socket's name takes 19 of the 108 (Linux) or 104 (macOS) bytes of a unix address, one is the closing zero.
_LONGEST_DIRECTORY = 84 if sys.platform == "darwin" else 88
_LOG_LIMIT = 1024 * 1024
# mutagen would call a link dead after 10 s of silence; the tunnel below notices earlier whether bytes still move.
_SSH_OPTIONS = ("-oBatchMode=yes", "-oServerAliveInterval=15", "-oServerAliveCountMax=3")


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    pid: int
    _child: Process

    def hurry(self) -> None:
        """The way to a pod is good again: whoever pauses before his next try to connect makes it now."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)

    async def ended(self) -> int:
        """Wait until it is gone; returns its exit code."""
        return await self._child.wait()


def binary() -> Path:
    """The program `paude-sync` for this machine. Raises SettingsError when the installation has none."""
    machine = platform.machine().lower()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return artifacts.path(f"bin/{platform.system().lower()}_{arch}/paude-sync")


def data_directory(paths: Paths) -> Path:
    """The daemon's data directory by a name short enough for its socket; makes it, and a link to it if need be."""
    paths.sync.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(os.fsencode(paths.sync)) <= _LONGEST_DIRECTORY:
        return paths.sync
    short = paths.supervisor_socket.with_suffix(".sync")
    if not short.is_symlink() or short.readlink() != paths.sync:
        fresh = short.with_suffix(f".{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(paths.sync)
        fresh.replace(short)
    return short


def environment(paths: Paths, *, fed: bool = False) -> dict[str, str]:
    """What the daemon and its commands run with; nothing of the user's but PATH, HOME and the like.

    `fed`: a program of ours watches the workspaces, for the daemon itself cannot.
    """
    return quiet_environment(
        **({"PAUDE_WATCHER": str(_shims(paths) / "watch")} if fed else {}),
        MUTAGEN_DATA_DIRECTORY=str(data_directory(paths)),
        MUTAGEN_DISABLE_AUTOSTART="1",
        MUTAGEN_SSH_PATH=str(_shims(paths)),
        MUTAGEN_SSH_CONNECT_TIMEOUT="86400",
        **{SUPERVISED: "1"},
        **MEMORY,  # for the ssh that it starts
    )


async def command(paths: Paths, *words: str, check: bool = True) -> Completed:
    """Run one `paude-sync` command against the daemon. Raises CommandFailed."""
    return await run([binary(), *words], env=environment(paths), check=check)


@asynccontextmanager
async def daemon(
    paths: Paths, ssh_config: Path | None = None, *, fed: bool = sys.platform == "darwin"
) -> AsyncIterator[Daemon]:
    """The daemon, for as long as the block runs, or this process: killed, it takes the daemon along, whose connections
    are this one's tunnels. One of an earlier supervisor that still runs is replaced: its sessions are on the disk.
    `fed`: its changes here are told to it.

    Raises PaudeError when it does not start, TimedOut when it does not answer.
    """
    _write_shims(paths, ssh_config or paths.state / "ssh_config")
    with _log(paths) as log:
        try:
            with anyio.fail_after(START_LIMIT_S):
                await _end_another(paths)
        except TimeoutError as exc:
            raise TimedOut("the sync daemon that is running does not end", hint=f"see {_log_file(paths)}") from exc
        argv = (str(binary()), "daemon", "run")
        env = environment(paths, fed=fed)
        async with started(argv, stdin=True, stderr=log.fileno(), env=env, new_session=True) as child:
            await _ready(child, paths)
            yield Daemon(child.pid, child)


async def _ready(child: Process, paths: Paths) -> None:
    assert child.stdout is not None
    try:
        with anyio.fail_after(START_LIMIT_S):
            async for text in TextReceiveStream(child.stdout):
                if "ready" in text:
                    return
    except TimeoutError as exc:
        raise TimedOut("the sync daemon does not answer", hint=f"see {_log_file(paths)}") from exc
    raise PaudeError("the sync daemon does not start", why=_last_words(paths), hint=f"see {_log_file(paths)}")


async def _end_another(paths: Paths) -> None:
    """Stop a daemon that runs on the same directory, and wait until it has let go of its lock."""
    lock = data_directory(paths) / "daemon" / "daemon.lock"
    if not lock.exists() or _take(lock, fcntl.LOCK_NB):
        return
    await command(paths, "daemon", "stop", check=False)
    # Waiting for the lock is waiting for the event; a thread that waits in vain is left behind.
    await anyio.to_thread.run_sync(_take, lock, 0, abandon_on_cancel=True)


def _take(lock: Path, how: int) -> bool:
    """Take the lock and let go of it again; False when somebody else has it and `how` is LOCK_NB."""
    with lock.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | how)
        except OSError:
            return False
        return True


def _shims(paths: Paths) -> Path:
    return paths.sync / "shims"


def _write_shims(paths: Paths, ssh_config: Path) -> None:
    """The programs that mutagen finds as `ssh` and `scp`: ours with our options, and one that refuses."""
    directory = _shims(paths)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ssh = shutil.which("ssh")
    if ssh is None:
        raise ToolMissing("`ssh` is not installed", hint="install the OpenSSH client and try again")
    words = shlex.join([ssh, "-F", str(ssh_config), *_SSH_OPTIONS])
    _script(directory / "ssh", f'exec {words} "$@"')
    _script(directory / "watch", f'exec {shlex.join([sys.executable, "-m", "paude.sync.watcher"])} "$@"')
    _script(directory / "scp", "echo 'paude: the sync agent is in the image and is never copied' >&2\nexit 1")


def _script(path: Path, body: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(f"#!/bin/sh\n{body}\n")
    fresh.chmod(0o700)
    fresh.replace(path)


def _log_file(paths: Paths) -> Path:
    return paths.state / "sync.log"


def _log(paths: Paths) -> BinaryIO:
    path = _log_file(paths)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _last_words(paths: Paths) -> str:
    lines = _log_file(paths).read_text("utf-8", "replace").strip().splitlines()
    return clean(lines[-1]) if lines else ""
