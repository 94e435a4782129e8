"""The agent's terminal at the user's: ssh is loaded with this, which takes a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module

import anyio
import anyio.to_thread

from paude.errors import ConnectionLost
from paude.plans.parked import TellsParked
from paude.settings import Paths
from paude.ssh import session_keys
from paude.ssh.remote import Identity, Remote
from paude.ssh.screen import OutputFilter
from paude.ssh.shell import AttachResult, State, attach
from paude.ssh.terminal import Terminal
from paude.supervisor import client
from paude.tunnel.base import Dialer
from paude.tunnel.link import Senses

NEWS_AFTER_S = 1.0


async def show(
    name: str,
    paths: Paths,
    dialer: Dialer,
    terminal: Terminal,
    *,
    senses: Senses | None = None,
    clipboard: bool = False,
    told: Callable[[State], None] = lambda _: None,
    news: bool = False,
) -> AttachResult:
    """The agent's terminal at `terminal`, by `dialer`; the supervisor hears when the link is good again.

    `clipboard` lets the agent's programs write to the user's. With `news` the user is told in the terminal how the sync
    stands.
    """
    keys = session_keys.load(paths.session(name))
    shown = anyio.Event()

    def watched(state: State) -> None:
        told(state)
        if state is State.LIVE:
            shown.set()

    async def sync_news(tell: Callable[[str], None]) -> None:
        # Who comes wants to see the terminal first, and then his first keys: loading takes as long as a connection.
        await shown.wait()
        await anyio.sleep(NEWS_AFTER_S)
        await anyio.to_thread.run_sync(import_module, "paude.plans.news")
        from paude.plans.news import sync_news as follow

        await follow(paths, name, tell)

    async with _followed(paths, watched) as telling, _meanwhile(lambda: _output(name, clipboard)):
        return await attach(
            TellsParked(dialer, paths, name),
            Identity(keys.agent_client.private_openssh, keys.agent_host.public_openssh),
            terminal,
            remote=Remote(clipboard=clipboard),
            senses=senses,
            output=lambda: _output(name, clipboard),
            told=telling,
            news=sync_news if news else None,
        )


def _output(name: str, clipboard: bool) -> OutputFilter:
    """What the pod's output goes through. Loaded here, and its patterns are compiled: a login waits long enough."""
    from paude.ssh.filter import TerminalFilter
    from paude.ssh.notify import Notifier

    return Notifier(TerminalFilter(clipboard=clipboard), name)


@asynccontextmanager
async def _meanwhile(work: Callable[[], object]) -> AsyncIterator[None]:
    """`work` in a thread beside the block; whoever needs what it makes does it himself if it is not over."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, work)
        yield


@asynccontextmanager
async def _followed(paths: Paths, told: Callable[[State], None]) -> AsyncIterator[Callable[[State], None]]:
    """Tell the supervisor whenever the terminal is live again: its own tries may be half a minute apart."""
    send, receive = anyio.create_memory_object_stream[None](1)

    def telling(state: State) -> None:
        told(state)
        if state is State.LIVE:
            with suppress(anyio.WouldBlock):
                send.send_nowait(None)

    async def follow() -> None:
        async for _ in receive:
            with suppress(ConnectionLost):
                await client.look(paths)

    async with send, receive, anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        yield telling
        tasks.cancel_scope.cancel()
