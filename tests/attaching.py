"""A terminal attached by the real `attach` to a real tmux behind a real sshd, over a link that fails on command."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost, PaudeError
from paude.ssh.filter import TerminalFilter
from paude.ssh.screen import OutputFilter
from paude.ssh.shell import AttachResult, Identity, Remote, State, Tempo, attach
from paude.ssh.terminal import Terminal
from paude.tunnel.link import Senses
from paude.tunnel.local import LocalStream
from relay import Relay, relay
from ssh_server import Sshd
from terminal_user import Tmux, User

QUICK = Tempo(keepalive=0.3, silence=1.2, gone_after=0.3, refused_after=0.3)


@dataclass
class Link:
    """The dialer: TCP through a relay, or an error on demand, always or once."""

    relay: Relay
    error: PaudeError | None = None
    once: list[PaudeError] = field(default_factory=list)
    dials: int = 0

    async def dial(self, port: int) -> ByteStream:
        self.dials += 1
        if self.once:
            raise self.once.pop()
        if self.error is not None:
            raise self.error
        # Not anyio's connect_tcp: cancelled in the turn in which it connects, it leaves its socket open.
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.relay.port))
        except OSError as exc:
            sock.close()
            raise ConnectionLost("no way", why=str(exc)) from exc
        except BaseException:
            sock.close()
            raise
        return await LocalStream.over(sock)


@dataclass
class Clock:
    """The senses, as the test wants them."""

    jump: float = 0.0
    address: str | None = "192.0.2.1"

    @property
    def senses(self) -> Senses:
        return Senses(lambda: anyio.current_time() + self.jump, anyio.current_time, lambda: self.address)


@dataclass
class Attached:
    """A running attach and everything around it."""

    user: User
    link: Link
    clock: Clock
    states: list[State] = field(default_factory=list)
    result: AttachResult | Exception | None = None
    over: anyio.Event = field(default_factory=anyio.Event)
    news: anyio.Event = field(default_factory=anyio.Event)

    def told(self, state: State) -> None:
        self.states.append(state)
        self.news.set()
        self.news = anyio.Event()

    async def becomes(self, state: State, seconds: float = 30) -> None:
        with anyio.fail_after(seconds):
            while not self.states or self.states[-1] is not state:
                await self.news.wait()

    async def ends(self, seconds: float = 10) -> AttachResult | Exception | None:
        with anyio.fail_after(seconds):
            await self.over.wait()
        return self.result


@asynccontextmanager
async def attached(
    server: Sshd,
    agent: Tmux,
    tempo: Tempo = QUICK,
    *,
    output: Callable[[], OutputFilter] = TerminalFilter,
    clipboard: bool = False,
) -> AsyncIterator[Attached]:
    """Attached by `attach` itself, through a relay."""
    ended = str(server.directory / "ended")
    remote = Remote(server.port, server.user, str(agent.socket), ended=ended, clipboard=clipboard)
    identity = Identity(server.client.private_openssh, server.host.public_openssh)
    user = User()
    async with relay(("127.0.0.1", server.port)) as way, anyio.create_task_group() as tasks:
        one = Attached(user, Link(way), Clock())

        async def run() -> None:
            terminal = Terminal(user.slave, user.slave, kind="xterm-256color")
            try:
                one.result = await attach(
                    one.link,
                    identity,
                    terminal,
                    remote=remote,
                    senses=one.clock.senses,
                    tempo=tempo,
                    output=output,
                    told=one.told,
                )
            except PaudeError as exc:
                one.result = exc
            one.over.set()

        tasks.start_soon(run)
        try:
            yield one
        finally:
            tasks.cancel_scope.cancel()
    user.close()
