"""`paude sessions`, and what bare `paude` shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb
from paude.errors import PaudeError

if TYPE_CHECKING:
    from paude.backends.base import Listed
    from paude.backends.kubernetes.kubeconfig import Target
    from paude.settings import Paths, Settings

SCHEMA = 1
PATIENCE_S = 3.0  # a cluster that does not answer must not hide the others


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
    put(f"\n  paude attach {rows[0].name}\n  paude stop {rows[0].name}\n  paude --help")


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
    import anyio

    from paude.settings import Paths, read

    paths = Paths.from_environment()
    settings = read(paths, None).values
    listed: list[Listed] = []
    troubles: list[str] = []

    async def ask(target: Target) -> None:
        from paude.backends.kubernetes import cluster, listing

        try:
            with anyio.fail_after(PATIENCE_S):
                async with cluster.connected(target, paths) as connection:
                    listed.extend(await listing.sessions(connection))
        except (PaudeError, TimeoutError) as error:
            troubles.append(f"{target.server}, namespace {target.namespace}: {error or 'no answer'}")

    async def ask_podman() -> None:
        from paude.backends.podman import engine, listing

        try:
            with anyio.fail_after(PATIENCE_S):
                listed.extend(await listing.sessions(await engine.connect()))
        except (PaudeError, TimeoutError) as error:
            troubles.append(f"podman: {error or 'no answer'}")

    here = _asks_podman(paths, settings)
    async with anyio.create_task_group() as tasks:
        if here:
            tasks.start_soon(ask_podman)
        for target in _targets(paths, settings, troubles, alone=not here):
            tasks.start_soon(ask, target)
    ends = _ends(paths)
    rows = {(one.server, one.namespace, one.name): _row(one, ends.get(one.uid, "")) for one in listed}
    return sorted(rows.values(), key=lambda row: (row.age_s, row.name)), troubles


def _asks_podman(paths: Paths, settings: Settings) -> bool:
    """Whether podman is here and no other backend is set, or a session of it is remembered."""
    import shutil

    from paude.backends.base import PODMAN
    from paude.sessions import records
    from paude.sessions.records import Record

    known = (found for found in records.load_all(paths) if isinstance(found, Record))
    if settings.backend in {"", PODMAN} and shutil.which("podman") is not None:
        return True
    return any(record.backend == PODMAN for record in known)


def _targets(paths: Paths, settings: Settings, troubles: list[str], *, alone: bool) -> list[Target]:
    """The clusters that records pin, and the one that a start would go to; each server and namespace once."""
    from pathlib import Path

    from paude.backends.base import KUBERNETES
    from paude.backends.kubernetes import kubeconfig
    from paude.sessions import records
    from paude.sessions.records import Record

    found = {}
    for record in records.load_all(paths):
        if not isinstance(record, Record) or not record.server or record.backend != KUBERNETES:
            continue
        files = [Path(f) for f in record.kubeconfig]
        try:
            target = kubeconfig.find(files, server=record.server, user=record.user, namespace=record.namespace)
            found[(target.server, target.namespace)] = target
        except PaudeError as error:
            troubles.append(f"session {record.name}: {error}")
    try:
        named = kubeconfig.files_from(Path(settings.kubeconfig) if settings.kubeconfig else None)
        current = kubeconfig.choose(named, context=settings.context or None, namespace=settings.namespace or None)
        found.setdefault((current.server, current.namespace), current)
    except PaudeError as error:
        if not found and alone:
            troubles.append(str(error))
    return list(found.values())


def _ends(paths: Paths) -> dict[str, str]:
    """When what a session works with ends, by the session's uid, as far as this machine knows."""
    from paude.sessions import records
    from paude.sessions.records import Record

    known = (found for found in records.load_all(paths) if isinstance(found, Record))
    return {record.uid: record.expires for record in known if record.expires}


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
        namespace=one.namespace,
        server=one.server,
        wall=one.wall,
        owner=one.owner,
        uid=one.uid,
        credentials_expire=expires,
    )
