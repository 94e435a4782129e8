"""A session's containers as something that can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paude.backends.podman import reasons, ways
from paude.backends.podman.containers import name_of
from paude.backends.podman.engine import Engine
from paude.errors import PodFailed, SessionGone
from paude.sessions.records import Record
from paude.ssh.ssh_config import GATE_PORT
from paude.tunnel.base import Dialer

OPENS_S = 1.0


@dataclass(frozen=True)
class Pod:
    """The containers of a session, whose gate runs: its name or id, and where podman keeps the session's volume."""

    engine: Engine
    session: str
    gate: str
    volume: Path
    network: str = ""

    @property
    def dialer(self) -> Dialer:
        """The way in, for a start: what has ended will not come back."""
        return ways.into(self.volume, self._container, _final, opens_s=OPENS_S)

    def _container(self, port: int) -> str:
        return self.gate if port == GATE_PORT else name_of(self.session, "agent")


async def running(podman: Engine, record: Record) -> Pod | None:
    """The containers of the session that the record is about, if its gate runs."""
    known = await podman.inspect("container", name_of(record.name, "gate"))
    if known is None or (known.get("State") or {}).get("Status") != "running":
        return None
    mounts = known.get("Mounts") or ()
    volume = next((str(one.get("Source")) for one in mounts if one.get("Destination") == "/vol"), "/nonexistent")
    return Pod(podman, record.name, str(known["Id"]), Path(volume))


def _final(code: int, said: str) -> Exception:
    error = reasons.tunnel_failure(code, said)
    if isinstance(error, SessionGone) or reasons.has_ended(code, said):
        return PodFailed("the session's gate has ended", why=reasons.words(said), hint="`podman logs` tells why")
    return error
