"""The pod's half of an attachment: one tmux client on a pty, known by a marker as this attachment's own."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost, PaudeError
from paude.ssh.channel import CommandSession
from paude.ssh.connection import Connection, connected, mapped
from paude.ssh.ssh_config import AGENT_PORT, USER
from paude.ssh.terminal import Size
from paude.tunnel.base import Dialer

_SERVER = re.compile(r"[0-9.]{1,64}")
_EARLY = 1024 * 1024  # bytes that may come before they are shown
_ENDED_S = 3.0
_UNANSWERED = 30

# Who the server is, so that held keys never reach another one. Beside the terminal and not on it: tmux throws away
# what waits in a pty when it begins to draw.
_ASK = "tmux -u -S {socket} display-message -p -t {session} '#{{pid}}.#{{start_time}}'\n"
# This attachment's own stale client goes, found by its environment (a tty may long be somebody else's).
_STALE = """\
t list-clients -F '#{{client_pid}} #{{client_tty}}' 2>/dev/null | while read -r pid tty; do
case "$(tr '\\0' '\\n' <"/proc/$pid/environ" 2>/dev/null)" in *PAUDE_CLIENT={client}*) t detach-client -t "$tty";; esac
done
"""
_SCRIPT = """\
t() {{ tmux -u -S {socket} "$@"; }}
i=0; until t has-session -t {session} 2>/dev/null || [ $i -ge 50 ]; do i=$((i+1)); sleep 0.1; done
[ "$TERM" = xterm-256color ] || ! command -v infocmp >/dev/null || infocmp >/dev/null 2>&1 || TERM=xterm-256color
{stale}{clipboard}PAUDE_CLIENT={client} t attach-session -t {session}
"""


@dataclass(frozen=True)
class Identity:
    """Who we are and who the pod has to be: our private key, its public host key, both in OpenSSH's form."""

    key: str = field(repr=False)
    host_key: str


@dataclass(frozen=True)
class Remote:
    """Where the agent's tmux is found in the pod, and whether it may pass on what programs copy."""

    port: int = AGENT_PORT
    user: str = USER
    socket: str = "/run/paude/tmux.sock"
    session: str = "agent"
    ended: str = "/run/paude/agent-ended"
    clipboard: bool = False

    def command(self, client: str, *, again: bool) -> str:
        """The script that attaches as `client`, which may have done so before where it does it `again`."""
        stale = _STALE.format(client=client) if again else ""
        clipboard = "t set-option -s set-clipboard on\n" if self.clipboard else ""
        return _SCRIPT.format(**self._tmux, client=client, stale=stale, clipboard=clipboard)

    @property
    def question(self) -> str:
        """The script that tells which tmux server this is."""
        return _ASK.format(**self._tmux)

    @property
    def _tmux(self) -> dict[str, str]:
        return {"socket": shlex.quote(self.socket), "session": shlex.quote(f"={self.session}")}


class RemoteScreen(CommandSession):
    """The bytes of the tmux client: `server` names the tmux server, `show` gives its output to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ""
        self._drawn = anyio.Event()
        self._early = bytearray()
        self._sink: Callable[[bytes], None] | None = None

    def printed(self, data: bytes) -> None:
        """Hand it on; before `show` it is kept."""
        if self._sink is not None:
            self._sink(data)
            return
        self._early += data
        self._drawn.set()
        if len(self._early) > _EARLY:
            self.channel.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for the drawing, too."""
        super().connection_lost(exc)
        self._drawn.set()

    async def drawn(self) -> None:
        """Return once tmux has drawn something: from then on keys are its own. Raises ConnectionLost."""
        await self._drawn.wait()
        if self.closed.is_set():
            with mapped():
                status = self.status()
            raise ConnectionLost("the agent's terminal does not open", why=f"its shell ended with {status}")

    def show(self, sink: Callable[[bytes], None]) -> None:
        """Give all output to `sink`, what was kept first."""
        self._sink = sink
        early, self._early = bytes(self._early), bytearray()
        sink(early)
        if len(early) > _EARLY and not self.closed.is_set():
            self.channel.resume_reading()

    def resize(self, size: Size) -> None:
        """The terminal is this big."""
        if not self.closed.is_set():
            self.channel.change_terminal_size(size.columns, size.rows, size.width, size.height)

    def redraw(self, size: Size) -> None:
        """Have everything drawn again."""
        self.resize(Size(size.columns, max(1, size.rows - 1), size.width, size.height))
        self.resize(size)

    def type(self, keys: bytes) -> None:
        """Send `keys`."""
        if not self.closed.is_set():
            self.channel.write(keys)


class Heard(ByteStream):
    """A stream that tells when anything was received."""

    def __init__(self, stream: ByteStream, heard: Callable[[], None]) -> None:
        self.stream = stream
        self._heard = heard

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes."""
        data = await self.stream.receive(max_bytes)
        self._heard()
        return data

    async def send(self, item: bytes) -> None:
        """Send `item`."""
        await self.stream.send(item)

    async def send_eof(self) -> None:
        """Half-close."""
        await self.stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self.stream.aclose()


@asynccontextmanager
async def reached(
    dialer: Dialer, identity: Identity, remote: Remote, heard: Callable[[], None], keepalive: float
) -> AsyncIterator[tuple[Connection, ByteStream]]:
    """A connection to the agent's sshd, and the tunnel's stream below it; its own idea of death is a slow one."""
    stream = await dialer.dial(remote.port)
    async with connected(
        Heard(stream, heard),
        key=identity.key,
        host_key=identity.host_key,
        username=remote.user,
        keepalive=keepalive,
        unanswered=_UNANSWERED,
    ) as connection:
        yield connection, stream


async def opened(
    connection: Connection, remote: Remote, client: str, kind: str, size: Size, *, again: bool
) -> RemoteScreen:
    """The tmux client on a new pty, once tmux has drawn something. Raises ConnectionLost."""
    server, failure = "", None

    async def ask() -> None:
        nonlocal server, failure
        try:
            server = await _server(connection, remote)
            if not server:  # it was only just beginning
                await screen.drawn()
                server = await _server(connection, remote)
        except PaudeError as exc:
            failure = exc
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        try:
            screen = await _screen(connection, remote.command(client, again=again), kind, size)
            tasks.start_soon(ask)  # not before: it would take the processor from what the user waits for
            await screen.drawn()
        except PaudeError as exc:
            failure = exc
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    screen.server = server
    return screen


async def _server(connection: Connection, remote: Remote) -> str:
    """Which tmux server is there; empty when it does not tell."""
    told = (await connection.run(remote.question)).text.strip()
    return told if _SERVER.fullmatch(told) else ""


async def _screen(connection: Connection, command: str, kind: str, size: Size) -> RemoteScreen:
    with mapped():
        _, screen = await connection.raw.create_session(
            RemoteScreen,
            command,
            encoding=None,
            request_pty="force",
            term_type=kind,
            term_size=(size.columns, size.rows, size.width, size.height),
        )
    assert isinstance(screen, RemoteScreen)
    return screen


async def ended(connection: Connection, remote: Remote) -> tuple[bool, int | None]:
    """Whether the agent ended by itself, and with which code; the pod's words, so only a number is taken from them."""
    socket, session = shlex.quote(remote.socket), shlex.quote(f"={remote.session}")
    command = f"cat {shlex.quote(remote.ended)} 2>/dev/null || tmux -S {socket} has-session -t {session} 2>/dev/null"
    found = await connection.run(command, timeout=_ENDED_S)
    try:
        code = json.loads(found.stdout)["code"]
    except (ValueError, KeyError, TypeError):
        return found.exit_status != 0, None
    return True, code if isinstance(code, int) and 0 <= code <= 255 else None
