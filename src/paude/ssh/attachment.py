"""The state machine of an attachment: a *client* (tmux of the moment), and a race for the next one when it fails."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream, TaskGroup, TaskStatus

from paude.errors import ConnectionLost, Forbidden, Interrupted, LoginExpired, PaudeError, SessionGone, TimedOut
from paude.ssh.connection import Connection, mapped
from paude.ssh.escape import HELP, Command, Escapes, Held, Keys
from paude.ssh.outcome import AgentEnded, AttachResult, Detached, State, Tempo
from paude.ssh.remote import Identity, Remote, RemoteScreen, ended, opened, reached
from paude.ssh.screen import OutputFilter, bottom_line, box
from paude.ssh.terminal import RawTerminal
from paude.ssh.timed import DialTimedOut, TimedDialer
from paude.tunnel.backoff import LAST_ATTACHED_S, QUICK_ATTACHED, Backoff
from paude.tunnel.base import Dialer
from paude.tunnel.pinned import PodReplaced

RESIZE_S = 0.05
SHOW_AFTER_S = 0.5
ANNOUNCE_S = 5.0
PROBE_S = 1.0
TRY_S = 12.0
NEW_POD = "the pod is a new one, and so is this terminal"
NEW_AGENT = "the agent was started anew, this terminal is a new one"


class _Client:
    """One try: its connection, its screen, and when it was last heard."""

    def __init__(self, heard: Callable[[_Client], None]) -> None:
        self.heard = anyio.current_time()
        self.scope = anyio.CancelScope()
        self.connection: Connection | None = None
        self.stream: ByteStream | None = None
        self.screen: RemoteScreen | None = None
        self._tell = heard

    def hear(self) -> None:
        self.heard = anyio.current_time()
        self._tell(self)

    def keepalive(self, interval: float) -> None:
        if self.connection is not None:
            self.connection.keepalive(interval, 30)

    def probe(self) -> None:
        """Make the other end say something at once."""
        self.keepalive(0.1)
        suspect = getattr(self.stream, "suspect", None)
        if suspect is not None:
            suspect(PROBE_S)


class Attachment:
    """All of one `attach`; see there."""

    def __init__(
        self,
        dialer: Dialer,
        identity: Identity,
        terminal: RawTerminal,
        remote: Remote,
        tempo: Tempo,
        output: Callable[[], OutputFilter],
        told: Callable[[State], None],
    ) -> None:
        self._way, self._identity, self._remote = TimedDialer(dialer), identity, remote
        self._terminal, self._tempo, self._output, self._told = terminal, tempo, output, told
        self._name = secrets.token_hex(8)
        self._held = Held()
        self._backoff = Backoff(LAST_ATTACHED_S, quick=QUICK_ATTACHED)
        self._client: _Client | None = None
        self._server = ""
        self._asked = False
        self._new_pod = False
        self._state = State.CONNECTING
        self._since = self._last_key = anyio.current_time()
        self._refused_since: float | None = None
        self._committed = False
        self._race = anyio.CancelScope()
        self._attempt = anyio.CancelScope()
        self._wanted = anyio.Event()
        self._wanted.set()
        self._news = anyio.Event()
        self._notice = self._announcement = ""
        self._help = False
        self._end: AttachResult | Exception | None = None
        terminal.congested = self._congested

    def run(self, tasks: TaskGroup) -> None:
        """Start everything in `tasks`."""
        self._tasks = tasks
        for one in (self._connect, self._read_keys, self._watch, self._show, self._take_signals):
            tasks.start_soon(self._guard, one)
        self._told(self._state)

    def result(self) -> AttachResult:
        """How it ended; raises when that was an error."""
        if isinstance(self._end, Exception):
            raise self._end
        return self._end if self._end is not None else Detached()

    def link_changed(self, reason: str) -> None:
        """The laptop slept or has another network: ask the client at once and race a new one."""
        self._notice = reason
        self._backoff.hurry()
        self._attempt.cancel()
        self._suspect()

    def announce(self, text: str) -> None:
        """Show one line for a while, as soon as the link is good."""
        self._announcement = text
        self._news.set()
        self._news = anyio.Event()

    # --- the race for a client

    async def _connect(self) -> None:
        while True:
            await self._wanted.wait()
            with anyio.CancelScope() as self._race:
                await self._try_until_live()

    async def _try_until_live(self) -> None:
        while True:
            self._committed = False
            try:
                with anyio.CancelScope() as self._attempt, anyio.fail_after(TRY_S):
                    await self._tasks.start(self._serve)
            except DialTimedOut:
                self._notice = "no answer"
                self._tell()
                continue  # that has taken its time
            except TimeoutError:
                self._notice = "no answer"
            except SessionGone as exc:
                self._still(exc, self._tempo.gone_after, "the pod is gone; it may come back")
            except (Forbidden, LoginExpired) as exc:
                self._still(exc, self._tempo.refused_after, exc.what)
            except PodReplaced:
                # The cluster's word: what answers in the new pod may call itself the old one.
                self._new_pod = True
                continue
            except ConnectionLost as exc:
                self._refused_since = None
                self._notice = exc.why
            if not self._wanted.is_set():
                return
            self._committed = False
            self._tell()
            await self._backoff.wait()

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        client = _Client(self._heard)
        try:
            async with reached(self._way, self._identity, self._remote, client.hear, self._tempo.keepalive) as (
                client.connection,
                client.stream,
            ):
                self._committed = True
                size, kind = self._terminal.size, self._terminal.kind
                again, self._asked = self._asked, True
                client.screen = await opened(client.connection, self._remote, self._name, kind, size, again=again)
                with client.scope:
                    self._adopt(client, client.screen)
                    task_status.started()
                    await client.screen.closed.wait()
                    await self._closed(client.connection, client.screen)
        except (ConnectionLost, TimedOut):  # a question that nobody answers any more is a lost link, too
            if client.screen is None:
                raise
        except Exception as exc:
            if client.screen is None:
                raise
            self._finish(exc)
        finally:
            self._lost(client)

    def _adopt(self, client: _Client, screen: RemoteScreen) -> None:
        before, self._client = self._client, client
        if before is not None:
            before.scope.cancel()
        self._wanted = anyio.Event()
        self._refused_since = None
        self._backoff.reset()
        self._notice = ""
        if self._server and (self._new_pod or screen.server != self._server):
            dropped = f"; {self._held.drop()} keys dropped" if len(self._held) else ""
            self._announcement = f"{NEW_POD if self._new_pod else NEW_AGENT}{dropped}"
        self._server, self._new_pod = screen.server, False
        sieve = self._output()
        screen.show(lambda data: self._terminal.write(sieve.feed(data)) if client is self._client else None)
        screen.resize(self._terminal.size)
        self._become(State.LIVE)

    async def _closed(self, connection: Connection, screen: RemoteScreen) -> None:
        if self._wanted.is_set() or self._client is None or self._client.screen is not screen:
            return  # a newer client detached this one, or is about to
        with mapped():
            status = screen.status()
        if status != 0 and screen.server:
            return
        over, code = await ended(connection, self._remote)
        self._finish(AgentEnded(code) if over else Detached())

    def _lost(self, client: _Client) -> None:
        if self._client is client:
            self._client = None
            self._become(State.DOWN)
            self._wanted.set()

    def _still(self, exc: PaudeError, patience: float, notice: str) -> None:
        """What has worked before may do so again soon: raise it only where it has not, or not for so long."""
        now = anyio.current_time()
        self._refused_since = self._refused_since or now
        if not self._server or now - self._refused_since > patience:
            raise exc
        self._notice = notice

    # --- signs of life

    def _suspect(self) -> None:
        if self._state is State.LIVE:
            self._become(State.SUSPECT)
        if self._client is not None:
            self._client.probe()
        self._wanted.set()

    def _heard(self, client: _Client) -> None:
        # Once the next one is about to detach this one, keys given to this one might be lost: they stay held.
        if self._state is not State.SUSPECT or client is not self._client or self._committed:
            return
        client.keepalive(self._tempo.keepalive)
        self._wanted = anyio.Event()
        self._race.cancel()
        self._become(State.LIVE)
        if client.screen is not None:
            client.screen.redraw(self._terminal.size)

    async def _watch(self) -> None:
        relaxed = False
        while True:
            now = anyio.current_time()
            client, news = self._client, self._news
            idle = now - self._last_key > self._tempo.idle_after
            if client is not None and idle != relaxed:
                relaxed = idle
                client.keepalive(self._tempo.idle_keepalive if idle else self._tempo.keepalive)
            limit = self._tempo.idle_silence if idle else self._tempo.silence
            if self._state is not State.LIVE or client is None:
                await news.wait()
            elif now - client.heard >= limit:
                self._suspect()
            else:
                with anyio.move_on_after(client.heard + limit - now):
                    await news.wait()

    # --- the user

    async def _read_keys(self) -> None:
        escapes = Escapes()
        while typed := await self._terminal.keys():
            self._woke()
            for part in escapes.feed(typed):
                if isinstance(part, Keys):
                    self._type(part.data)
                else:
                    await self._obey(part)
        self._finish(Interrupted("the terminal is gone"))

    def _type(self, keys: bytes) -> None:
        if self._help:
            self._help = False
            self._redraw()
        if self._state is State.LIVE and self._client is not None and self._client.screen is not None:
            self._client.screen.type(keys)
            return
        self._held.add(keys)
        self._tell()

    def _woke(self) -> None:
        now = anyio.current_time()
        if now - self._last_key > self._tempo.idle_after and self._client is not None:
            self._client.heard = now
            self._client.probe()
            self._tell()
        self._last_key = now

    async def _obey(self, command: Command) -> None:
        if command is Command.LEAVE:
            self._finish(Detached())
        elif command is Command.HELP:
            size = self._terminal.size
            self._help = True
            self._terminal.write(box(HELP, size.columns, size.rows))
        elif command is Command.RECONNECT:
            self.link_changed("connecting anew")
        else:
            await self._terminal.suspend()
            self._redraw()
            self.link_changed("")

    async def _take_signals(self) -> None:
        ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        with anyio.open_signal_receiver(signal.SIGWINCH, *ends) as signals:
            async for number in signals:
                if number != signal.SIGWINCH:
                    self._finish(Interrupted("attach was ended", why=number.name))
                    return
                await anyio.sleep(RESIZE_S)
                if self._client is not None and self._client.screen is not None:
                    self._client.screen.resize(self._terminal.size)
                self._tell()

    # --- what is shown

    def _become(self, state: State) -> None:
        if state is not self._state:
            if self._state is State.LIVE:
                self._since = anyio.current_time()
            self._state = state
            self._told(state)
        self._tell()
        if state is State.LIVE and len(self._held):
            self._type(self._held.take())

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _show(self) -> None:
        while True:
            if self._state is State.LIVE:
                await self._announce()
                if not self._announcement:
                    await self._news.wait()
                continue
            late = anyio.current_time() - self._since
            if self._state is not State.SUSPECT and late < SHOW_AFTER_S:
                with anyio.move_on_after(SHOW_AFTER_S - late):
                    await self._news.wait()
                continue
            self._draw(late)
            with anyio.move_on_after(1.0):
                await self._news.wait()

    async def _announce(self) -> None:
        """Show what is to be known of a link that is good again: for a while, as tmux draws over it."""
        text, self._announcement = self._announcement, ""
        end = anyio.current_time() + ANNOUNCE_S
        while text and self._state is State.LIVE and (left := end - anyio.current_time()) > 0:
            self._draw_line(f"paude: {text}")
            with anyio.move_on_after(min(left, 1.0)):
                await self._news.wait()
        if text and self._state is State.LIVE:
            self._redraw()

    def _draw(self, seconds: float) -> None:
        held = f" · {len(self._held)} keys held (^C drops them)" if len(self._held) else ""
        full = f", {self._held.refused} refused" if self._held.refused else ""
        notice = f" · {self._notice}" if self._notice else ""
        self._draw_line(f"paude: {self._state.value} {seconds:.0f} s{held}{full} · ~. leaves{notice}")

    def _draw_line(self, text: str) -> None:
        size = self._terminal.size
        self._terminal.write(bottom_line(text, size.columns, size.rows))

    def _redraw(self) -> None:
        if self._client is not None and self._client.screen is not None:
            self._client.screen.redraw(self._terminal.size)

    def _congested(self, congested: bool) -> None:
        if self._client is None or self._client.screen is None or self._client.screen.closed.is_set():
            return
        channel = self._client.screen.channel
        if congested:
            channel.pause_reading()
        else:
            channel.resume_reading()

    # --- the end

    async def _guard(self, one: Callable[[], Awaitable[None]]) -> None:
        try:
            await one()
        except Exception as exc:  # noqa: BLE001 -- `result` raises it
            self._finish(exc)

    def _finish(self, end: AttachResult | Exception) -> None:
        self._end = self._end if self._end is not None else end
        self._tasks.cancel_scope.cancel()
