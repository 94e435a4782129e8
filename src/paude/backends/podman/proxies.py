"""The proxies: one container per allowlist, shared by the sessions that use it, gone with the last of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio.to_thread

from paude import report
from paude.backends.podman import containers
from paude.backends.podman.containers import proxy_name
from paude.backends.podman.engine import Engine
from paude.errors import NameTaken, PaudeError, PodFailed
from paude.settings import Paths

_SPEC = "paude.io/spec"


@dataclass(frozen=True)
class Wanted:
    """A proxy as it should run: `files` are its squid.conf and its allowlist."""

    allowlist: str
    image: str
    network: str
    files: Mapping[str, str] = field(repr=False)

    @property
    def words(self) -> list[str]:
        """How podman is told to run it."""
        return containers.proxy(self.allowlist, self.image, self.network)

    @property
    def spec(self) -> str:
        """What tells whether the one that runs is this one."""
        return containers.digest([*self.words, *self.files.values()])


async def open_sockets(podman: Engine, allowlist: str) -> None:
    """The directory in which sessions find the proxy's socket; several may ask for it at once."""
    if await podman.inspect("volume", proxy_name(allowlist)) is None:
        try:
            await podman.run(*containers.sockets(allowlist), doing="create the proxy's volume")
        except NameTaken:
            return  # by another session, just now


async def ensure(podman: Engine, wanted: Wanted, paths: Paths) -> None:
    """See that the proxy runs as wanted. Raises PodFailed with what it said when it ends at once."""
    name = proxy_name(wanted.allowlist)
    async with alone(paths, name):
        known = await podman.inspect("container", name)
        if known is not None and _runs(known, wanted.spec):
            return
        await podman.remove_containers([name])
        await _store(podman, wanted)
        await podman.run("run", "--detach", f"--label={_SPEC}={wanted.spec}", *wanted.words, doing="start the proxy")


async def _store(podman: Engine, wanted: Wanted) -> None:
    """Its configuration as secrets: files that podman keeps for a container, wherever it runs."""
    name = proxy_name(wanted.allowlist)
    for part, file in (("conf", "squid.conf"), ("list", "allowlist")):
        await podman.remove("secret", f"{name}-{part}")
        data = wanted.files[file].encode()
        await podman.run("secret", "create", f"{name}-{part}", "-", stdin=data, doing="store the proxy's configuration")


def _runs(known: Mapping[str, object], spec: str) -> bool:
    state, config = known.get("State"), known.get("Config")
    if not isinstance(state, Mapping) or not isinstance(config, Mapping):
        return False
    return state.get("Status") == "running" and (config.get("Labels") or {}).get(_SPEC) == spec


async def failure(podman: Engine, allowlist: str) -> PaudeError | None:
    """Why the proxy does not run; None when it does."""
    known = await podman.inspect("container", proxy_name(allowlist))
    state = (known or {}).get("State") or {}
    if state.get("Status") == "running":
        return None
    said: list[str] = []
    if known is not None:
        await podman.logs(proxy_name(allowlist), said.append, follow=False)
    return PodFailed("the proxy does not run", why="\n".join(said[-5:]), hint=f"`podman logs {proxy_name(allowlist)}`")


async def remove_unused(podman: Engine, allowlist: str, paths: Paths) -> None:
    """Remove the proxy that no session uses any more."""
    name = proxy_name(allowlist)
    async with alone(paths, name):
        users = await podman.run(
            "volume", "ls", "--quiet", "--filter", f"label=paude.io/uses={allowlist}", doing="look for sessions"
        )
        if users:
            return
        if await podman.inspect("container", name) is not None:
            report.line(f"the proxy {name} served nobody else and is gone")
        await podman.remove_containers([name])
        await podman.remove("secret", f"{name}-conf", f"{name}-list")
        await podman.remove("volume", name)


@asynccontextmanager
async def alone(paths: Paths, name: str) -> AsyncIterator[None]:
    """Keep other paude commands of this user away from a proxy; the lock goes with the process."""
    directory = paths.state / "locks"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await anyio.to_thread.run_sync(fcntl.flock, handle, fcntl.LOCK_EX, abandon_on_cancel=True)
        yield
    finally:
        os.close(handle)
