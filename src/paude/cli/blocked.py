"""`paude blocked`: what the proxy refused to a session, and the command that would allow it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paude.cli import options
from paude.cli.app import in_loop, put, say
from paude.errors import UsageError

if TYPE_CHECKING:
    from paude.egress.allowlist import Allowlist
    from paude.egress.blocked import Denied

SCHEMA = 1


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(blocked)


def blocked(
    name: options.Name = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and print each as it comes.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json (with --watch a line each).")] = "text",
) -> None:
    """Show what the proxy refused to a session, how often, and the command that would allow it."""
    if output not in {"text", "json"}:
        raise UsageError(f"there is no output format {output!r}", hint="formats: text, json")
    if watch:
        in_loop(lambda: _watch(name, output))
        return
    session, allowed, refusals = in_loop(lambda: _so_far(name))
    if output == "json":
        shown = [_fact(one, session, allowed) for one in refusals]
        put(json.dumps({"schema": SCHEMA, "session": session, "refused": shown}, indent=1))
        return
    _table([_cells(one, session, allowed) for one in refusals])


async def _so_far(name: str | None) -> tuple[str, Allowlist, list[Denied]]:
    from paude.backends.kubernetes import refusals
    from paude.backends.kubernetes.stop import connected
    from paude.backends.kubernetes.wall import standing
    from paude.cli.choose import record_of
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    async with connected(record, paths) as cluster:
        now = await standing(cluster, record, paths)
        client = await refusals.client_of(cluster, record)
        return record.name, now.allowlist, await refusals.so_far(cluster, now.serves, client)


async def _watch(name: str | None, output: str) -> None:
    from paude.backends.kubernetes import refusals
    from paude.backends.kubernetes.stop import connected
    from paude.backends.kubernetes.wall import standing
    from paude.cli.choose import record_of
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    async with connected(record, paths) as cluster:
        allowed = (await standing(cluster, record, paths)).allowlist
        client = await refusals.client_of(cluster, record)
        async for one in refusals.as_they_come(cluster, client):
            fact = _fact(one, record.name, allowed)
            put(json.dumps(fact) if output == "json" else "  ".join(_cells(one, record.name, allowed)))


def _fact(one: Denied, session: str, allowed: Allowlist) -> dict[str, Any]:
    remedy = _remedy(one, session, allowed)
    return {**asdict(one), "why": _why(one, allowed), "allow": remedy}


def _remedy(one: Denied, session: str, allowed: Allowlist) -> str:
    """The command that would let it pass; its words come from the agent, so only a plain host name is ever in it."""
    from paude.egress.blocked import allowable

    return "" if allowed.allows(one.host) else next((f"paude allow {host} {session}" for host in allowable([one])), "")


def _why(one: Denied, allowed: Allowlist) -> str:
    if one.why:
        return one.why
    return "it leads to no public address" if allowed.allows(one.host) else "not on the list"


def _cells(one: Denied, session: str, allowed: Allowlist) -> list[str]:
    where = f"{one.host}:{one.port}" if one.port else one.host
    last = datetime.fromtimestamp(one.last, UTC).astimezone().strftime("%H:%M:%S")
    return [where, f"{one.count}x", last, _remedy(one, session, allowed) or _why(one, allowed)]


def _table(rows: list[list[str]]) -> None:
    if not rows:
        say("nothing was refused")
        return
    lines = [["HOST", "COUNT", "LAST", "TO ALLOW IT"], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for line in lines:
        put("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
