"""`paude egress`: what a session may reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb

group = typer.Typer(help="What a session may reach.", rich_markup_mode=None, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(group, name="egress")


@group.callback()
def egress() -> None:
    """What a session may reach."""


@group.command(cls=Verb)
def show(name: options.Name = None, output: printed.Listing = "text") -> None:
    """Show the hosts that a session may reach, and its proxy."""
    output = printed.checked(output)
    facts = in_loop(lambda: _facts(name))
    for warning in facts["warnings"]:
        say(f"warning: {warning}")
    if printed.document(output, facts):
        return
    for host in facts["hosts"]:
        put(host)
    if output == "name":
        return
    if not facts["hosts"]:
        put("nothing: every host is refused")
    others = [one for one in facts["shared_by"] if one != facts["session"]]
    say(f"proxy: {facts['proxy'] or 'none, the session is stopped'}")
    if others:
        say(f"with the same list, through the same proxy: {', '.join(others)}")
    say(f"`paude allow HOST {facts['session']}` adds one, `paude blocked {facts['session']}` shows what was refused")


async def _facts(name: str | None) -> dict[str, Any]:
    import anyio

    from paude.cli.choose import record_of
    from paude.egress import registries
    from paude.plans.egress import egress as found
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    configured: list[registries.Registry] = []

    async def ask_clients() -> None:
        configured.extend(await registries.configured(os.environ, Path.home()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_clients)
        now = await found(record, paths)
    return {
        "schema": 1,
        "session": record.name,
        "hosts": list(now.allowlist.hosts),
        "warnings": [*now.allowlist.warnings, *registries.risks(configured, now.allowlist)],
        "allowlist": now.serves,
        "proxy": now.proxy,
        "address": now.address,
        "shared_by": list(now.shared_by),
    }
