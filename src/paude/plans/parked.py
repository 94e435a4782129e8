"""The way to an agent that may be parked: whoever comes in vain is told why, at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio.abc import ByteStream

from paude.errors import AgentParked, ConnectionLost, EgressOpen, SessionGone
from paude.process import clean
from paude.settings import Paths
from paude.ssh.ssh_config import AGENT_PORT, GATE_PORT
from paude.tunnel.base import Dialer
from paude.tunnel.ready import spoken

if TYPE_CHECKING:
    from paude.gate.client import GateStatus


@dataclass(frozen=True)
class TellsParked:
    """A Dialer that, where the pod is there and the agent's sshd is not, asks the gate whether it may be.

    By a connection of its own, or with `ask` where there is such a way.
    """

    way: Dialer
    paths: Paths
    session: str
    ask: Callable[[Paths, str], Awaitable[GateStatus]] | None = None

    async def dial(self, port: int) -> ByteStream:
        """As the way does it, to the agent once its sshd has spoken. Raises AgentParked and EgressOpen besides."""
        stream = await self.way.dial(port)
        if port != AGENT_PORT:
            return stream
        try:
            return await spoken(stream)
        except (ConnectionLost, SessionGone):
            await self._refuse_parked()
            raise

    async def _refuse_parked(self) -> None:
        try:
            status = await self._status()
        except (ConnectionLost, SessionGone):
            return  # what is wrong is wrong with the whole pod
        if not status.parked:
            return
        hint = f"`paude status {self.session}` tells more, `paude start` releases it again"
        if status.fence.state == "open":
            why = f"the fence found a way out: {', '.join(status.fence.leaks)}"
            raise EgressOpen(f"the agent of {self.session} was stopped", why=why, hint=hint)
        raise AgentParked(f"the agent of {self.session} is parked", why=clean(status.parked), hint=hint)

    async def _status(self) -> GateStatus:
        stream = await self.way.dial(GATE_PORT)
        if self.ask is None:
            # Seldom needed, and on the way to every terminal.
            from paude.gate.client import Gate
            from paude.plans.reach import connected_by

            async with connected_by(stream, self.paths, self.session, GATE_PORT) as connection:
                return await Gate(connection).status()
        # Who asks by the supervisor would be held until there is a way, and what is dialled here with him.
        await (await spoken(stream)).aclose()
        return await self.ask(self.paths, self.session)
