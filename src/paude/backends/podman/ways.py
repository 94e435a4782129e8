"""The ways into a session's containers. Cheap to load: who attaches waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from paude.backends.podman import reasons
from paude.images.podman import environment
from paude.settings import Paths
from paude.ssh.ssh_config import GATE_PORT, SERVER
from paude.tunnel.base import Dialer
from paude.tunnel.doors import Doors
from paude.tunnel.execstream import ExecStreams


def dialer(session: str, paths: Paths) -> Dialer:
    """The way in, for as long as the session lives: its containers may be started again at any time."""

    def container(port: int) -> str:
        from paude.backends.podman.containers import name_of

        return name_of(session, "gate" if port == GATE_PORT else "agent")

    return into(link(session, paths), container, reasons.tunnel_failure)


def into(
    volume: Path, container: Callable[[int], str], failure: Callable[[int, str], Exception], *, opens_s: float = 0.0
) -> Dialer:
    """By the doors that the gate opens on the session's volume; else an sshd that podman starts in `container`.

    A gate that has only just been started is given `opens_s` seconds for its doors, where the volume is seen.
    """
    by_podman = ExecStreams(
        lambda port: ("podman", "exec", "--interactive", container(port), *SERVER), environment, failure
    )
    return Doors(volume / "gate" / "doors", by_podman, opens_s=opens_s if os.access(volume, os.X_OK) else 0.0)


def link(session: str, paths: Paths) -> Path:
    """Where this machine remembers the place of a session's volume, so that podman need not be asked."""
    return paths.session(session) / "volume"
