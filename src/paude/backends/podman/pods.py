"""A session's containers as something that can be reached."""

from __future__ import annotations

from dataclasses import dataclass

from paude.backends.podman import reasons
from paude.backends.podman.containers import name_of
from paude.backends.podman.engine import Engine
from paude.errors import PodFailed, SessionGone
from paude.images.podman import environment
from paude.sessions.records import Record
from paude.ssh.ssh_config import GATE_PORT
from paude.tunnel.base import Dialer
from paude.tunnel.execstream import ExecStreams

_SSHD = ("/usr/sbin/sshd", "-i", "-e", "-f", "/run/paude/sshd.conf")


@dataclass(frozen=True)
class Pod:
    """The containers of a session, whose gate runs; `gate` and `agent` are names or ids."""

    engine: Engine
    session: str
    gate: str
    network: str = ""

    @property
    def dialer(self) -> Dialer:
        """The way in, for a start: what has ended will not come back."""
        return ExecStreams(self._command, environment, _final)

    def _command(self, port: int) -> tuple[str, ...]:
        container = self.gate if port == GATE_PORT else name_of(self.session, "agent")
        return ("podman", "exec", "--interactive", container, *_SSHD)


async def running(podman: Engine, record: Record) -> Pod | None:
    """The containers of the session that the record is about, if its gate runs."""
    known = await podman.inspect("container", name_of(record.name, "gate"))
    if known is None or (known.get("State") or {}).get("Status") != "running":
        return None
    return Pod(podman, record.name, str(known["Id"]))


def dialer(session: str) -> Dialer:
    """The way in, for as long as the session lives: its containers may be started again at any time."""

    def command(port: int) -> tuple[str, ...]:
        container = name_of(session, "gate" if port == GATE_PORT else "agent")
        return ("podman", "exec", "--interactive", container, *_SSHD)

    return ExecStreams(command, environment, reasons.tunnel_failure)


def _final(code: int, said: str) -> Exception:
    error = reasons.tunnel_failure(code, said)
    if isinstance(error, SessionGone) or reasons.has_ended(code, said):
        return PodFailed("the session's gate has ended", why=reasons.words(said), hint="`podman logs` tells why")
    return error
