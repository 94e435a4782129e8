"""`paude blocked`: what the proxy refused to a session, and the command that would allow it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb

if TYPE_CHECKING:
    from paude.egress.allowlist import Allowlist
    from paude.egress.blocked import Denied

SCHEMA = 1


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(blocked)


def blocked(
    name: options.Name = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and print each as it comes.")] = False,
    output: printed.Listing = "text",
) -> None:
    """Show what the proxy refused to a session, how often, and the command that would allow it."""
    output = printed.checked(output)
    if watch:
        in_loop(lambda: _watch(name, output))
        return
    session, allowed, refusals = in_loop(lambda: _so_far(name))
    shown = [_fact(one, session, allowed) for one in refusals]
    if printed.document(output, {"schema": SCHEMA, "session": session, "refused": shown}):
        return
    if output == "name":
        for host in dict.fromkeys(one.host for one in refusals):
            put(host)
        return
    _table([_cells(one, session, allowed, wide=output == "wide") for one in refusals], wide=output == "wide")


async def _so_far(name: str | None) -> tuple[str, Allowlist, list[Denied]]:
    from paude.cli.choose import record_of
    from paude.plans.egress import refused
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    return record.name, *await refused(record, paths)


async def _watch(name: str | None, output: str) -> None:
    from contextlib import aclosing

    from paude.cli.choose import record_of
    from paude.egress.blocked import Tally
    from paude.plans.egress import refused_as_they_come
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    tally = Tally()
    async with aclosing(refused_as_they_come(record, paths)) as found:
        async for allowed, refusal in found:
            one = tally.add(refusal)
            fact = _fact(one, record.name, allowed)
            if printed.document(output, fact, one_of_many=True):
                continue
            put(one.host if output == "name" else "  ".join(_cells(one, record.name, allowed, wide=output == "wide")))


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


def _cells(one: Denied, session: str, allowed: Allowlist, *, wide: bool) -> list[str]:
    where = f"{one.host}:{one.port}" if one.port else one.host
    last = datetime.fromtimestamp(one.last, UTC).astimezone().strftime("%H:%M:%S")
    more = [one.method, _why(one, allowed)] if wide else []
    return [where, f"{one.count}x", last, *more, _remedy(one, session, allowed) or _why(one, allowed)]


def _table(rows: list[list[str]], *, wide: bool) -> None:
    if not rows:
        say("nothing was refused")
        return
    printed.table(["HOST", "COUNT", "LAST", *(("METHOD", "WHY") if wide else ()), "TO ALLOW IT"], rows)
