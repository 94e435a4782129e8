"""`paude sessions`, and what bare `paude` shows."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb

if TYPE_CHECKING:
    from paude.backends.base import Listed

SCHEMA = 1
_STARTED_AGAIN = {"stopped", "parked", "open", "evicted", "failed"}


def register(app: typer.Typer) -> None:
    """Add the verb and its short form."""
    app.command("sessions", cls=Verb)(sessions)
    app.command("ls", cls=Verb, hidden=True)(sessions)


@dataclass(frozen=True)
class Row:
    """A session as it is shown."""

    name: str
    state: str
    reason: str
    agent: str
    workspace: str
    age_s: float
    namespace: str
    server: str
    wall: str
    owner: str
    uid: str
    credentials_expire: str = ""


def sessions(
    output: printed.Listing = "text",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the first line out.")] = False,
) -> None:
    """List the sessions of the clusters that this machine has sessions on, and of the current context."""
    output = printed.checked(output)
    rows, troubles = in_loop(_collect)
    for trouble in troubles:
        say(f"warning: {trouble}")
    if printed.document(output, {"schema": SCHEMA, "sessions": [asdict(row) for row in rows]}):
        return
    if output == "name":
        for row in rows:
            put(row.name)
    else:
        show(rows, wide=output == "wide", headers=not no_headers)


def overview() -> None:
    """The sessions, and what to do next."""
    rows, troubles = in_loop(_collect)
    for trouble in troubles:
        say(f"warning: {trouble}")
    if not rows:
        put("no session yet\n\n  paude start    run an agent on this directory\n  paude --help   all verbs")
        return
    show(rows, wide=False, headers=True)
    put("\n" + "\n".join(f"  {step}" for step in next_steps(rows[0])))


def next_steps(row: Row) -> list[str]:
    """The commands that fit the session as it is."""
    again = row.state in _STARTED_AGAIN
    on = f"paude start {shlex.quote(row.workspace)}" if again else f"paude attach {row.name}"
    return [on, f"paude stop {row.name}", "paude --help"]


def show(rows: list[Row], *, wide: bool, headers: bool) -> None:
    """The rows as a table, the most recent first."""
    columns = ["NAME", "STATE", "AGENT", "AGE", "WORKSPACE"] + (
        ["NAMESPACE", "SERVER", "WALL", "OWNER", "CREDENTIALS"] if wide else []
    )
    lines = []
    for row in rows:
        line = [row.name, row.state, row.agent, age(row.age_s), row.workspace]
        lines.append(line + ([row.namespace, row.server, row.wall, row.owner, good(row)] if wide else []))
    printed.table(columns, lines, headers=headers)
    for row in rows:
        if row.reason and row.state not in {"running", "starting"}:
            say(f"{row.name}: {row.reason}")
        if good(row) == "expired":
            say(
                f"{row.name}: what its agent works with has expired; log in, and `paude credentials refresh {row.name}`"
            )


def good(row: Row) -> str:
    """How long what the agent works with is good."""
    return left(row.credentials_expire, datetime.now(UTC))


def age(seconds: float) -> str:
    """A duration as kubectl writes ages."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


async def _collect() -> tuple[list[Row], list[str]]:
    from paude.plans.listing import listing
    from paude.sessions import records
    from paude.sessions.records import Record
    from paude.settings import Paths

    paths = Paths.from_environment()
    found = await listing(paths)
    known = (one for one in records.load_all(paths) if isinstance(one, Record))
    ends = {record.uid: record.expires for record in known if record.expires}
    rows = {
        (one.location.server, one.location.namespace, one.name): _row(one, ends.get(one.uid, ""))
        for one in found.sessions
    }
    return sorted(rows.values(), key=lambda row: (row.age_s, row.name)), found.troubles


def left(expires: str, now: datetime) -> str:
    """How long credentials are good, in the words of a column; empty for those without an end."""
    try:
        seconds = (datetime.fromisoformat(expires) - now).total_seconds()
    except (ValueError, TypeError):
        return ""
    return age(seconds) if seconds > 0 else "expired"


def _row(one: Listed, expires: str) -> Row:
    try:
        made = datetime.fromisoformat(one.created_at.replace("Z", "+00:00"))
    except ValueError:
        made = datetime.now(UTC)
    return Row(
        name=one.name,
        state=str(one.seen.state),
        reason=one.seen.reason,
        agent=one.agent,
        workspace=one.workspace,
        age_s=(datetime.now(UTC) - made).total_seconds(),
        namespace=one.location.namespace,
        server=one.location.server,
        wall=one.wall,
        owner=one.owner,
        uid=one.uid,
        credentials_expire=expires,
    )
