"""`paude status`: everything about one session."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from paude.cli import options
from paude.cli.app import in_loop, put
from paude.errors import PaudeError, UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(status)


def status(
    name: options.Name = None, output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text"
) -> None:
    """Show how a session stands: its pod, its fence, its sync."""
    if output not in {"text", "json"}:
        raise UsageError(f"there is no output format {output!r}", hint="formats: text, json")
    facts = in_loop(lambda: _facts(name))
    if output == "json":
        put(json.dumps(facts, indent=1, default=str))
        return
    for key in ("session", "state", "reason", "agent", "workspace", "namespace", "server", "allowed", "fence", "sync"):
        if facts.get(key):
            put(f"{key + ':':<12}{facts[key] if not isinstance(facts[key], dict) else facts[key]['summary']}")
    for warning in facts.get("warnings", ()):
        put(f"{'warning:':<12}{warning}")
    for conflict in (facts.get("sync") or {}).get("conflicts", ()):
        put(f"  conflict: {conflict['path']}")


async def _facts(name: str | None) -> dict[str, Any]:
    from paude.backends.kubernetes.pods import pod_name
    from paude.backends.kubernetes.stop import Stop, connected
    from paude.backends.kubernetes.wall import warnings_of
    from paude.cli.choose import record_of
    from paude.gate.client import Gate
    from paude.gate.connect import gate_of
    from paude.sessions.states import derive
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    facts: dict[str, Any] = {
        "schema": 1,
        "session": record.name,
        "agent": record.agent,
        "workspace": record.workspace,
        "namespace": record.namespace,
        "server": record.server,
        "allowed": ", ".join(record.hosts) or "nothing",
    }
    async with connected(record, paths) as cluster:
        facts["warnings"] = await warnings_of(cluster, record, paths)
        pod = await cluster.get("Pod", pod_name(record.name))
        running = await Stop(record, paths).find_pod(cluster)
        seen = derive(pod)
        if running is not None:
            async with gate_of(running, record.name, paths) as connection:
                gate = await Gate(connection).status()
            facts["fence"] = {"summary": f"{gate.fence.state}, seen {gate.fence.at}", **asdict(gate.fence)}
            facts["gate"] = asdict(gate)
            seen = derive(pod, asdict(gate))
    facts |= {"state": str(seen.state), "reason": seen.reason, "hint": seen.hint}
    facts["sync"] = await _sync(record.name)
    return facts


async def _sync(name: str) -> dict[str, Any]:
    from paude.settings import Paths
    from paude.sync import session

    try:
        state = await session.state(Paths.from_environment(), name)
    except PaudeError as error:
        return {"summary": f"not running: {error}", "healthy": False}
    words = "in step" if state.healthy else state.message
    return {"summary": f"{words}; {state.files} files, {len(state.conflicts)} conflicts", **asdict(state)}
