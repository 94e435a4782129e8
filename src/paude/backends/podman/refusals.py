"""What a session's proxy refused: read from its log, which is about nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import suppress

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from paude.backends.podman import ownership
from paude.backends.podman.engine import Engine, labels_of
from paude.backends.podman.listing import containers_of
from paude.egress import blocked
from paude.egress.blocked import Denied
from paude.errors import NotFound
from paude.sessions.records import Record

BEHIND = 10_000


async def so_far(podman: Engine, record: Record) -> list[Denied]:
    """What the session's proxy has refused, and those that it had before, the latest first.

    Raises NotFound when the session has none.
    """
    lines: list[str] = []
    own = await _proxies(podman, record)
    if not own:
        raise _stopped(record)
    for one in own:
        with suppress(NotFound):  # it was the oldest of many, and has just gone
            await podman.logs(one, lines.append, follow=False)
    return blocked.denied(lines)


async def _proxies(podman: Engine, record: Record) -> list[str]:
    found = await containers_of(podman, record.uid)
    return [str(one["Id"]) for one in found if labels_of(one).get("app.kubernetes.io/component") == "proxy"]


async def as_they_come(podman: Engine, record: Record) -> AsyncGenerator[Denied, None]:
    """Every refusal, those of the past first, also of the proxies that come after this one; ends with the caller."""
    send, receive = anyio.create_memory_object_stream[Denied](BEHIND)
    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(_follow_all, podman, record, send)
        async for one in receive:
            yield one
        tasks.cancel_scope.cancel()


async def _follow_all(podman: Engine, record: Record, send: MemoryObjectSendStream[Denied]) -> None:
    followed: set[str] = set()
    async with send, anyio.create_task_group() as tasks:

        def follow(container: str) -> None:
            if container and container not in followed:
                followed.add(container)
                tasks.start_soon(_follow, podman, container, send)

        def started(line: str) -> None:
            with suppress(ValueError, AttributeError):
                follow(str(json.loads(line).get("ID", "")))

        mine = (f"label={ownership.UID}={record.uid}", "label=app.kubernetes.io/component=proxy", "event=start")
        filters = [word for one in mine for word in ("--filter", one)]
        tasks.start_soon(podman.events, filters, started)
        for one in await _proxies(podman, record):
            follow(one)
        if not followed:
            raise _stopped(record)


async def _follow(podman: Engine, container: str, send: MemoryObjectSendStream[Denied]) -> None:
    def tell(line: str) -> None:
        if found := blocked.parse(line):
            # The agent decides how many there are: a reader that is so many behind has seen what matters.
            with suppress(anyio.WouldBlock, anyio.BrokenResourceError):
                send.send_nowait(found)

    with suppress(NotFound):  # a proxy that goes takes its log along; its successor has one of its own
        await podman.logs(container, tell, follow=True)


def _stopped(record: Record) -> NotFound:
    return NotFound(f"the proxy of {record.name} does not run", hint="what was refused is known only while it does")
