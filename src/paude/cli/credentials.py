"""`paude credentials`: what a session works with, taken anew while it runs."""

from __future__ import annotations

from pathlib import Path

import typer

from paude.cli import options
from paude.cli.app import in_loop, say
from paude.cli.verb import Verb
from paude.errors import NotFound


def register(app: typer.Typer) -> None:
    """Add the verb and its parts."""
    group = typer.Typer(help="What a session works with.", no_args_is_help=True, rich_markup_mode=None)
    group.command(cls=Verb)(refresh)
    app.add_typer(group, name="credentials")


def refresh(
    name: options.Name = None,
    mcp_secrets: options.McpSecrets = False,
    timeout: options.Timeout = 60,
    progress: options.Progress = "auto",
    yes: options.Yes = False,
) -> None:
    """Give a running session the credentials of this machine. Those that it has now."""
    from paude.cli.choose import record_of
    from paude.cli.gift import gift_for
    from paude.settings import Paths

    paths = Paths.from_environment()
    record = record_of(name, paths)
    gift = gift_for(record.agent, Path(record.workspace), mcp_secrets=mcp_secrets, yes=yes)
    if not gift.kept and not any(one.startswith("env.") for one in gift.files):
        raise NotFound(
            "this machine has no credentials for the agent",
            why="neither a key nor a login was found where Claude Code looks for one",
            hint="log in, or set ANTHROPIC_API_KEY or CLAUDE_CODE_USE_VERTEX as for `paude start`",
        )

    async def work() -> None:
        from paude.cli import display
        from paude.plans.perform import refresh_credentials

        await refresh_credentials(record, paths, gift, display.opener(progress), limit_s=timeout)

    in_loop(work)
    say(f"{record.name} has them. A key or token that the agent itself holds counts from its next start.")
