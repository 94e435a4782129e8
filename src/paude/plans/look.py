"""How one session stands, whatever kind of place it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import anyio

from paude.errors import PaudeError
from paude.gate.client import Gate, GateStatus
from paude.gate.connect import gate_of
from paude.plans.places import place_of
from paude.sessions.records import Record
from paude.sessions.states import Seen, SessionState
from paude.settings import Paths
from paude.ssh.ssh_config import AGENT_PORT
from paude.tunnel.base import Dialer
from paude.tunnel.ready import spoken

ANSWERS_S = 3.0


@dataclass(frozen=True)
class Look:
    """What the place says of the session, what its gate says (None when it does not run), and what to be wary of."""

    seen: Seen
    gate: GateStatus | None
    warnings: Sequence[str] = ()


async def look(record: Record, paths: Paths) -> Look:
    """Ask the place, and the gate if it runs. Raises PaudeError."""
    async with place_of(record.backend).session(record, paths) as session:
        warnings, running = await session.warnings(), await session.find_pod()
        if running is None:
            return Look(await session.seen(), None, warnings)
        async with gate_of(running, record.name, paths) as connection:
            gate = await Gate(connection).status()
        seen = await session.seen(asdict(gate))
        if seen.state is SessionState.STARTING and gate.leave and await _answers(running.dialer):
            seen = Seen(SessionState.RUNNING)
        return Look(seen, gate, warnings)


async def _answers(dialer: Dialer) -> bool:
    """Whether the agent can be reached: a start is done then, and the kubelet tells of it up to 2 s later."""
    try:
        with anyio.fail_after(ANSWERS_S):
            await anyio.aclose_forcefully(await spoken(await dialer.dial(AGENT_PORT)))
    except (PaudeError, TimeoutError):
        return False
    return True


async def glance(record: Record, paths: Paths) -> Seen:
    """Ask the place alone: cheap, and it knows what a parked session's container said last. Raises PaudeError."""
    place = place_of(record.backend)
    if not place.remote:
        return (await look(record, paths)).seen  # its gate is on this machine
    async with place.session(record, paths) as session:
        return await session.seen()


async def log(
    record: Record, paths: Paths, container: str, tell: Callable[[str], None], *, follow: bool, previous: bool
) -> None:
    """Give `tell` the lines of one container's log. Raises NotFound when there is no such container."""
    async with place_of(record.backend).session(record, paths) as session:
        await session.log(container, tell, follow=follow, previous=previous)
