"""`paude credentials refresh`: what a session works with, taken anew from this machine while it runs.

Stored first, for whatever is started later; then brought to both ends, which take it at once: the gate makes its next
token of it, the coding agent has it when it is started the next time.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from paude.backends.base import Reachable
from paude.engine import Plan
from paude.errors import PaudeError
from paude.gate.client import Gate
from paude.gate.connect import gate_of
from paude.plans.places import Steps
from paude.plans.reach import connected_by
from paude.plans.request import Gift
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.ssh_config import AGENT_PORT
from paude.tunnel.ready import dial_when_ready

if TYPE_CHECKING:
    from collections.abc import Awaitable

P = TypeVar("P")

LOGIN = "adc.json"
# `paths.Renewed` of the program in the pod: in its memory, and read after the Secret.
RENEWED = "/run/paude/renewed"


@dataclass(frozen=True)
class BothEnds:
    """The running session's two sshds."""

    record: Record
    paths: Paths
    gift: Gift

    async def renew_in_gate(self, pod: Reachable | None) -> None:
        """The login that only the gate has. Raises PaudeError when no token can be made of it."""
        login = self.gift.kept.get(LOGIN)
        if pod is None or login is None:
            return
        async with gate_of(pod, self.record.name, self.paths) as way:
            await Gate(way).renew_credentials(login)

    async def renew_in_agent(self, pod: Reachable | None) -> None:
        """The variables of the coding agent, for its next start."""
        variables = {name: data for name, data in self.gift.files.items() if name.startswith("env.")}
        if pod is None or not variables:
            return
        async with connected_by(
            await dial_when_ready(pod.dialer, AGENT_PORT), self.paths, self.record.name, AGENT_PORT
        ) as way:
            for name, data in variables.items():
                place = shlex.quote(f"{RENEWED}/{name}")
                result = await way.run(f"umask 077; mkdir -p {RENEWED} && cat > {place}", stdin=data)
                if result.exit_status != 0:
                    raise PaudeError("the agent's container does not take the credentials", hint="is its disk full?")

    async def remember(self) -> None:
        """When they end, in this machine's record."""
        known = records.load(self.paths, self.record.name)
        if isinstance(known, Record):
            records.save(self.paths, replace(known, expires=self.gift.expires))


class Renewing(Steps[P], Protocol[P]):
    """The steps of a place that gives a session other credentials."""

    def store_credentials(self, place: P, /) -> Awaitable[None]:
        """Where whatever is started later finds them."""
        ...


def refresh(k: Renewing[P], ends: BothEnds) -> Plan:
    """The plan, the same in either kind of place."""
    plan = Plan("refresh credentials", remedy=f"paude credentials refresh {ends.record.name}")
    place = plan.step(k.connect)
    stored = plan.step(k.store_credentials, place)
    pod = plan.step(k.find_pod, place)
    gate = plan.step(ends.renew_in_gate, pod, after=[stored])
    agent = plan.step(ends.renew_in_agent, pod, after=[stored])
    plan.step(ends.remember, after=[gate, agent])
    return plan
