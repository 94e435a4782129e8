"""The other end of a sync for tests: a real sshd whose forced command runs the real sync agent, or git."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from paude import artifacts
from paude.settings import Paths
from paude.sync import daemon, selection, session
from paude.sync.limits import Limits
from paude.sync.state import SyncState
from ssh_server import Sshd, sshd

NAME = "s"
COMMAND = """#!/bin/sh
echo "$SSH_ORIGINAL_COMMAND" >> {asked}
case "$SSH_ORIGINAL_COMMAND" in
  *"mutagen-agent synchronizer"*) MUTAGEN_DATA_DIRECTORY={data} exec {agent} synchronizer --log-level=info ;;
  "git-upload-pack '/workspace'") exec git upload-pack {pod} ;;
esac
echo "refused: $SSH_ORIGINAL_COMMAND" >&2
exit 2
"""
CONFIG = """Host {name}.paude gate.{name}.paude
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {directory}/client
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {directory}/known_hosts
  HostKeyAlias host
  StrictHostKeyChecking yes
  GlobalKnownHostsFile /dev/null
  BatchMode yes
  KexAlgorithms curve25519-sha256
"""


@dataclass(frozen=True)
class Peer:
    """Two directories, and what joins them."""

    paths: Paths
    laptop: Path
    pod: Path
    server: Sshd

    async def create(self, limits: Limits | None = None, only: tuple[str, ...] = ()) -> SyncState:
        """Sync both ends; returns when they are in step."""
        chosen = await selection.outgoing(self.laptop, only)
        other = f"gate.{NAME}.paude:{self.pod}"
        await session.define(self.paths, NAME, self.laptop, chosen, beta=other, limits=limits)
        await session.resume(self.paths, NAME)
        await session.first_cycle(self.paths, NAME)
        return await self.state(lambda s: s.settled and s.local_watch == s.remote_watch == "watching")

    def asked(self, word: str) -> int:
        """How many commands with that word have come to the server."""
        file = self.server.directory / "asked"
        return sum(word in line for line in file.read_text().splitlines()) if file.exists() else 0

    async def state(self, wanted: Callable[[SyncState], bool]) -> SyncState:
        """The first state that is as wanted."""
        async with aclosing(session.watch(self.paths, NAME)) as states:  # a child of its own: it ends with the block
            async for found in states:
                if wanted(found):
                    return found
        raise AssertionError("a watch does not end")


@contextmanager
def peer(directory: Path, agent: Path | None = None) -> Iterator[Peer]:
    """An sshd and empty directories for both ends; the daemon is the test's. `agent` takes the sync agent's place."""
    for name in ("state", "laptop", "pod", "agent", "server"):
        (directory / name).mkdir(parents=True)
    script = directory / "server" / "command"
    machine = daemon.binary().parent.name
    script.write_text(
        COMMAND.format(
            data=directory / "agent",
            agent=agent or artifacts.path(f"bin/{machine}/mutagen-agent"),
            pod=directory / "pod",
            asked=directory / "server" / "asked",
        )
    )
    script.chmod(0o700)
    with TemporaryDirectory(prefix="paude-") as run, sshd(directory / "server", f"ForceCommand {script}") as server:
        paths = Paths(directory / "state", Path(run), directory / "config", directory / "cache")
        _configure(paths, server)
        yield Peer(paths, directory / "laptop", directory / "pod", server)


def _configure(paths: Paths, server: Sshd) -> None:
    point_to(paths, server, server.port)


def point_to(paths: Paths, server: Sshd, port: int) -> None:
    """Let ssh go to that port, the server's own or a relay's."""
    key = server.directory / "client"
    key.write_text(server.client.private_openssh)
    key.chmod(0o600)
    (server.directory / "known_hosts").write_text(f"host {server.host.public_openssh}\n")
    config = CONFIG.format(name=NAME, port=port, user=server.user, directory=server.directory)
    (paths.state / "ssh_config").write_text(config)


@asynccontextmanager
async def synced(directory: Path, agent: Path | None = None) -> AsyncIterator[Peer]:
    """Both ends with a running daemon, not yet joined; nothing here may take longer than a minute."""
    with anyio.fail_after(60), peer(directory, agent) as both:
        async with daemon.daemon(both.paths):
            yield both


async def eventually(check: Callable[[], bool], *, within: float = 10) -> float:
    """Wait until `check` holds, at most `within` seconds; returns how long it took."""
    began = time.monotonic()
    with anyio.fail_after(within):
        while not check():  # noqa: ASYNC110
            await anyio.sleep(0.002)  # a file system tells nobody that a file has the wanted content
    return time.monotonic() - began


def reads(path: Path, content: str) -> Callable[[], bool]:
    """Whether the file holds just that."""
    return lambda: path.is_file() and path.read_bytes() == content.encode()


def tree(root: Path) -> dict[str, bytes | str | None]:
    """What lies below `root`: the content of files, the target of links, None for directories."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = str(path.readlink()) if path.is_symlink() else (path.read_bytes() if path.is_file() else None)
    return found
