"""What a session's agent does, asked or followed through its own sshd: all that it says is its word, and data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from paude.errors import UsageError
from paude.images.hooks import REPORTING, STATE_FILE
from paude.plans.reach import connected_by, stream_to
from paude.sessions.activity import LONGEST, Activity, Doing, parse
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh.remote import Remote
from paude.ssh.ssh_config import AGENT_PORT

ANSWER_S = 15.0
_FILES = f"{Remote.ended} {STATE_FILE}"
# How old the line is by the clock that dated it, and the line.
_LOOK = (
    f"for f in {_FILES}; do [ -e $f ] && "
    f"{{ echo $(($(date +%s) - $(stat -c %Y $f))); head -c {4 * LONGEST} $f; exit; }}; done; true"
)
_FOLLOW = f"exec tail -q -n +1 -F {_FILES} 2>/dev/null"


async def look(record: Record, paths: Paths) -> Activity:
    """What it does now; unknown for an agent that does not tell. Raises ConnectionLost, TimedOut."""
    stream = await stream_to(paths, record.name, AGENT_PORT)
    async with connected_by(stream, paths, record.name, AGENT_PORT) as agent:
        age, _, line = (await agent.run(_LOOK, timeout=ANSWER_S)).text.partition("\n")
    found = parse(line)
    if found is None:
        return Activity(Doing.UNKNOWN)
    return replace(found, for_s=float(age)) if age.isdigit() else found


@asynccontextmanager
async def waits(record: Record, paths: Paths) -> AsyncIterator[AsyncIterator[Activity]]:
    """Each time that it waits for its user, now or later; the last is that it has ended.

    Raises UsageError for an agent that never tells, ConnectionLost.
    """
    if record.agent not in REPORTING:
        raise UsageError(
            f"the agent of {record.name} ({record.agent}) does not tell what it does",
            hint=f"agents that do: {', '.join(sorted(REPORTING))}",
        )
    stream = await stream_to(paths, record.name, AGENT_PORT)
    async with (
        connected_by(stream, paths, record.name, AGENT_PORT) as agent,
        agent.stream(_FOLLOW) as lines,
    ):
        yield _waits(lines)


async def _waits(lines: AsyncIterator[str]) -> AsyncIterator[Activity]:
    last: Activity | None = None
    async for line in lines:
        found = parse(line)
        if found is None or found == last:
            continue
        last = found
        if found.doing is not Doing.WORKING:
            yield found
        if found.doing is Doing.ENDED:
            return
