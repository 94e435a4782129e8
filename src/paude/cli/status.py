"""`paude status`: everything about one session."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put
from paude.cli.sessions import age
from paude.cli.verb import Verb
from paude.errors import PaudeError

if TYPE_CHECKING:
    from paude.gate.client import GateStatus, Life

_SHOWN = (
    "session", "state", "reason", "agent", "workspace", "backend", "namespace", "server", "allowed", "fence", "life",
    "sync",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(status)


def status(name: options.Name = None, output: printed.Facts = "text") -> None:
    """Show how a session stands: its pod, its fence, its sync."""
    from paude.sync.shown import visible

    output = printed.checked(output, printed.FACTS)
    facts = in_loop(lambda: _facts(name))
    if printed.document(output, facts):
        return
    for key in _SHOWN:
        if facts.get(key):
            put(f"{key + ':':<12}{facts[key] if not isinstance(facts[key], dict) else facts[key]['summary']}")
    for warning in facts.get("warnings", ()):
        put(f"{'warning:':<12}{warning}")
    for conflict in (facts.get("sync") or {}).get("conflicts", ()):
        put(f"  conflict: {visible(conflict['path'])}")


async def _facts(name: str | None) -> dict[str, Any]:
    from paude.cli.choose import record_of
    from paude.plans.look import look
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    facts: dict[str, Any] = {
        "schema": 1,
        "session": record.name,
        "agent": record.agent,
        "workspace": record.workspace,
        "backend": record.backend,
        "namespace": record.namespace,
        "server": record.server,
        "allowed": ", ".join(record.hosts) or "nothing",
    }
    found = await look(record, paths)
    facts["warnings"] = list(found.warnings)
    if found.gate is not None:
        fence = found.gate.fence
        facts["fence"] = {"summary": f"{fence.state}, seen {fence.at}", **asdict(fence)}
        facts["gate"] = asdict(found.gate)
        facts["life"] = {"summary": _life(found.gate.life)}
    facts |= {"state": str(found.seen.state), "reason": found.seen.reason, "hint": found.seen.hint}
    if record.mounted:
        facts["warnings"].append("the agent works on the directory itself (--mount): nothing is held back")
        return facts
    facts["sync"] = await _sync(record.name) if not record.guest else _sync_elsewhere(found.gate)
    return facts


def _sync_elsewhere(gate: GateStatus | None) -> dict[str, Any]:
    owner = gate.sync_owner if gate is not None else None
    return {"summary": f"with {owner.host}" if owner is not None else "with another laptop", "healthy": False}


def _life(life: Life) -> str:
    """How near its limits the agent is."""
    spans = (("idle for", life.idle_s, life.idle_limit_s), ("running for", life.age_s, life.age_limit_s))
    words = [f"{what} {age(now)} of {age(limit)}" for what, now, limit in spans if limit]
    return ", ".join(words) or "runs until it is stopped"


async def _sync(name: str) -> dict[str, Any]:
    from paude.settings import Paths
    from paude.sync import session

    try:
        state = await session.state(Paths.from_environment(), name)
    except PaudeError as error:
        return {"summary": f"not running: {error}", "healthy": False}
    words = "in step" if state.healthy else state.message
    return {"summary": f"{words}; {state.files} files, {len(state.conflicts)} conflicts", **asdict(state)}
