"""The supervisor as a real process, with real sshds behind it and OpenSSH in front of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, Process

from attaching import Link
from paude.errors import ConnectionLost, SessionGone
from paude.plans.news import sync_news
from paude.process import run
from paude.settings import Paths
from paude.ssh import fdpass, session_keys, ssh_config
from paude.ssh.ssh_config import HELPER, agent_alias
from paude.supervisor import client
from paude.supervisor.hold import Road, Roads
from paude.supervisor.server import LOG_LIMIT, serve
from paude.sync import history, session
from paude.sync.selection import Outgoing
from paude.tunnel.backoff import FIRST_S, Backoff
from paude.tunnel.base import Dialer
from paude.tunnel.local import LocalStream
from relay import relay
from ssh_server import Sshd, sshd

# The supervisor of these tests: its dialer goes to a loopback port that a file names, its daemon does nothing.
PROGRAM = """\
import sys
from contextlib import asynccontextmanager
from pathlib import Path
import anyio
from paude.errors import AgentParked, ConnectionLost
from paude.settings import Paths
from paude.supervisor.hold import Roads
from paude.supervisor.server import serve

class Way:
    async def dial(self, port):
        try:
            return await anyio.connect_tcp("127.0.0.1", int(Path(sys.argv[2]).read_text()))
        except OSError as exc:
            raise ConnectionLost("no way", why=str(exc)) from exc

@asynccontextmanager
async def daemon():
    yield

async def resolve(name):
    if name == "parked":
        raise AgentParked("the agent of parked is parked", why="idle for\\n4 h", hint="start it")
    return Way()

root = Path(sys.argv[1])
paths = Paths(root / "state", root / "run", root, root)
anyio.run(lambda: serve(paths, Roads(resolve, hold=20), daemon, idle=float(sys.argv[3])))
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path / "state", tmp_path / "run", tmp_path, tmp_path)
    found.state.mkdir()
    found.runtime.mkdir()
    record(found, "one")
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    with sshd(tmp_path / "sshd") as one:
        point(tmp_path, one.port)
        yield one


def record(paths: Paths, name: str) -> Path:
    paths.session(name).mkdir(parents=True)
    file = paths.session(name) / "record.json"
    file.write_text("{}")
    return file


def point(root: Path, port: int) -> None:
    (root / "port").write_text(str(port))


@asynccontextmanager
async def supervisor(paths: Paths, idle: float = 60) -> AsyncIterator[Process]:
    root = paths.state.parent
    words = [sys.executable, "-c", PROGRAM, str(root), str(root / "port"), str(idle)]
    async with await anyio.open_process(words, stdin=subprocess.DEVNULL, stdout=None, stderr=None) as process:
        try:
            with anyio.fail_after(20):
                while await client.status(paths) is None:  # noqa: ASYNC110
                    await anyio.sleep(0.02)  # a socket that is not there yet has no event
            yield process
        finally:
            if process.returncode is None:
                process.kill()


def ssh_command(paths: Paths, server: Sshd, command: str) -> list[str]:
    proxy = f"{sys.executable} -IS {HELPER} {paths.supervisor_socket} one 2223"
    known = paths.state / "known_hosts"
    known.write_text(f"{agent_alias('one')} {' '.join(server.host.public_openssh.split()[:2])}\n")
    key = paths.state / "key"
    key.write_text(server.client.private_openssh)
    key.chmod(0o600)
    options = {
        "ProxyCommand": proxy,
        "ProxyUseFdpass": "yes",
        "HostKeyAlias": agent_alias("one"),
        "UserKnownHostsFile": known,
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "User": server.user,
    }
    words = [f"-o{name}={value}" for name, value in options.items()]
    return ["ssh", "-F", "/dev/null", "-i", str(key), *words, "one.paude", command]


async def stream(paths: Paths, line: bytes) -> LocalStream:
    found = await LocalStream.over(fdpass.dialled(str(paths.supervisor_socket)))
    await found.send(line)
    return found


async def test_plain_ssh_reaches_the_pod_through_it(paths: Paths, server: Sshd):
    async with supervisor(paths):
        done = await run(ssh_command(paths, server, "echo through; exit 7"), check=False)
        assert (done.returncode, done.text) == (7, "through\n")


async def test_who_comes_in_vain_is_told_why_by_ssh(paths: Paths, server: Sshd):
    async with supervisor(paths):
        words = [word.replace(" one 2223", " parked 2223") for word in ssh_command(paths, server, "true")]
        done = await run(words, check=False)
        assert done.returncode == 255
        assert "paude: the agent of parked is parked: idle for 4 h; start it\n" in done.stderr


async def test_the_ssh_of_its_own_sync_brings_no_other_one_to_life(paths: Paths, server: Sshd):
    own = {**os.environ, fdpass.SUPERVISED: "1"}
    done = await run(ssh_command(paths, server, "true"), check=False, env=own)
    assert done.returncode == 255
    assert await client.status(paths) is None


async def test_its_git_brings_no_other_one_to_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A fetch outlives the git that is ended with the supervisor: its ssh may only then ask for a way."""
    paths = Paths(tmp_path / "state/paude", tmp_path / "run/paude", tmp_path, tmp_path)
    for directory in (paths.state, paths.runtime):
        directory.mkdir(parents=True)
    record(paths, "one")
    own = fdpass.environment(str(paths.supervisor_socket), str(paths.state))
    monkeypatch.setattr(os, "environ", own)
    workspace = tmp_path / "workspace"
    await run(["git", "init", "-q", workspace])
    session_keys.write_known_hosts(paths.session("one"), "one", session_keys.make(paths.session("one"), "one"))
    ssh_config.write(paths, ["one"])
    with pytest.raises(ConnectionLost):
        await history.fetch(workspace, "one", paths)
    try:
        assert await client.status(paths) is None
    finally:
        await client.stop(paths)


@pytest.fixture
def own_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Where `ensure` starts a supervisor as users have it."""
    monkeypatch.delenv(fdpass.SUPERVISED, raising=False)
    found = Paths(tmp_path / "state/paude", tmp_path / "run/paude", tmp_path, tmp_path)
    for directory in (found.state, found.runtime):
        directory.mkdir(parents=True)
    return found


async def test_what_failed_because_the_supervisor_was_killed_is_done_again_with_another(own_paths: Paths):
    paths, killed = own_paths, list[int]()

    async def work() -> str:
        if len(killed) == 2:
            return "done"
        killed.append(await client.ensure(paths))
        os.kill(killed[-1], signal.SIGKILL)
        raise ConnectionLost("the sync daemon ended")

    try:
        assert await client.supervised(paths, work) == "done"
        assert len(set(killed)) == 2
    finally:
        await client.stop(paths)


async def test_what_fails_with_a_supervisor_that_lives_is_done_once(own_paths: Paths):
    tries = []

    async def work() -> None:
        tries.append(await client.ensure(own_paths))
        raise ConnectionLost("the pod does not answer")

    try:
        with pytest.raises(ConnectionLost, match="the pod does not answer"):
            await client.supervised(own_paths, work)
        assert len(tries) == 1
    finally:
        await client.stop(own_paths)


async def test_a_killed_one_is_replaced_while_somebody_is_at_the_terminal(own_paths: Paths):
    paths = own_paths
    (paths.state / "ssh_config").write_text("")
    (paths.state / "workspace").mkdir()
    await client.ensure(paths)
    try:
        await session.define(paths, "one", paths.state / "workspace", Outgoing((), ()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sync_news, paths, "one", lambda _: None)
            first = await client.ensure(paths)
            os.kill(first, signal.SIGKILL)
            with anyio.fail_after(20):
                while (found := await client.status(paths)) is None:  # noqa: ASYNC110
                    await anyio.sleep(0.02)  # a socket that is not there yet has no event
            assert found["pid"] != first
            tasks.cancel_scope.cancel()
    finally:
        await client.stop(paths)


async def test_the_answer_comes_before_the_first_byte_of_the_pod(paths: Paths, server: Sshd):
    async with supervisor(paths), await stream(paths, b"one 2223 told\n") as opened:
        with anyio.fail_after(10):
            assert (await opened.receive()).startswith(b"ok\nSSH-2.0")


async def test_the_socket_is_for_this_user_alone(paths: Paths, server: Sshd):
    async with supervisor(paths):
        assert stat.S_IMODE(paths.supervisor_socket.stat().st_mode) == 0o600


async def test_it_says_what_it_does(paths: Paths, server: Sshd):
    async with supervisor(paths) as process, await stream(paths, b"one 2223\n") as opened:
        with anyio.fail_after(10):
            assert (await opened.receive()).startswith(b"SSH-2.0")
        found = await client.status(paths)
        assert found is not None
        assert found["pid"] == process.pid
        assert found["sessions"]["one"]["streams"] == 1


async def test_forgetting_a_session_closes_its_streams_only(paths: Paths, server: Sshd):
    record(paths, "two")
    async with supervisor(paths), await stream(paths, b"one 2223\n") as one, await stream(paths, b"two 2223\n") as two:
        with anyio.fail_after(10):
            await one.receive()
            await two.receive()
            await client.forget(paths, "one")
            with pytest.raises(anyio.EndOfStream):
                await one.receive()
        found = await client.status(paths)
        assert found is not None
        assert found["sessions"]["two"]["streams"] == 1


async def test_a_client_is_held_while_there_is_no_way_and_goes_on_when_there_is(paths: Paths, server: Sshd):
    async with relay(("127.0.0.1", server.port)) as link, supervisor(paths):
        point(paths.state.parent, link.port)
        link.cut()
        async with await stream(paths, b"one 2223\n") as opened:
            with anyio.fail_after(10):
                while link.dials < 2:
                    await link.dialled.wait()
                link.mend()
                assert (await opened.receive()).startswith(b"SSH-2.0")


async def test_many_waiting_clients_make_no_more_dials_than_one(paths: Paths, server: Sshd):
    async with relay(("127.0.0.1", server.port)) as link, supervisor(paths):
        point(paths.state.parent, link.port)
        link.cut()
        async with AsyncExitStack() as waiting:
            for _ in range(20):
                await waiting.enter_async_context(await stream(paths, b"one 2223\n"))
            # One more than may be in a second; the waits between them take 12.4 s at the most, one more up to 25 s.
            with anyio.fail_after(20):
                while link.dials < 6:
                    await link.dialled.wait()
            assert all(sum(t <= u < t + 1 for u in link.dial_times) <= 5 for t in link.dial_times)


@pytest.mark.parametrize(
    "line", [b"one\n", b"../x 22\n", b"one 0\n", b"x" * 400 + b"\n", b"!nothing\n", b"one 2223 3\n"]
)
async def test_nonsense_is_answered_with_a_closed_connection(paths: Paths, server: Sshd, line: bytes):
    async with supervisor(paths), await stream(paths, line) as opened:
        with anyio.fail_after(10), pytest.raises(anyio.EndOfStream):
            await opened.receive()


async def test_it_ends_by_itself_when_the_last_session_is_gone(paths: Paths, server: Sshd):
    async with supervisor(paths, idle=0.2) as process:
        (paths.session("one") / "record.json").unlink()
        await client.forget(paths, "one")
        with anyio.fail_after(10):
            assert await process.wait() == 0
    assert not paths.supervisor_socket.exists()


async def test_it_stays_while_a_stream_is_open(paths: Paths, server: Sshd):
    async with supervisor(paths, idle=0.2) as process:
        async with await stream(paths, b"one 2223\n") as opened:
            await opened.receive()
            (paths.session("one") / "record.json").unlink()
            with anyio.move_on_after(0.6):
                await process.wait()
            assert process.returncode is None
        with anyio.fail_after(20):
            assert await process.wait() == 0


async def test_a_killed_one_is_replaced_and_its_socket_too(paths: Paths, server: Sshd):
    async with supervisor(paths) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert paths.supervisor_socket.exists()
    async with supervisor(paths):
        done = await run(ssh_command(paths, server, "echo again"), check=False)
        assert done.text == "again\n"


async def test_a_second_one_leaves_the_first_alone(paths: Paths, server: Sshd):
    async with supervisor(paths) as first, supervisor(paths) as second:
        with anyio.fail_after(20):
            assert await second.wait() == 0
        found = await client.status(paths)
        assert found is not None
        assert found["pid"] == first.pid


async def test_stop_returns_when_it_has_ended(paths: Paths, server: Sshd):
    async with supervisor(paths) as process:
        await client.stop(paths)
        with anyio.fail_after(10):
            assert await process.wait() == 0
        assert await client.status(paths) is None
        await client.stop(paths)


async def test_after_thirty_cuts_it_holds_no_more_than_after_one(paths: Paths, server: Sshd):
    async def resolve(name: str) -> Dialer:
        return Link(way)

    async with relay(("127.0.0.1", server.port)) as way, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, paths, Roads(resolve, hold=20), nothing)
        while await client.status(paths) is None:  # noqa: ASYNC110 -- a socket that is not there yet has no event
            await anyio.sleep(0.02)
        held = []
        for _ in range(31):
            async with await stream(paths, b"one 2223\n") as opened:
                with anyio.fail_after(20):
                    assert (await opened.receive()).startswith(b"SSH-2.0")
                    way.cut()
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await opened.receive()
            way.mend()
            await anyio.wait_all_tasks_blocked()
            held.append((len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), threading.active_count()))
        assert max(held[1:]) <= held[0]
        await client.stop(paths)


async def test_its_log_is_put_aside_while_it_runs(paths: Paths, server: Sshd):
    log = paths.state / "supervisor.log"
    log.write_bytes(b"x" * (LOG_LIMIT - 200))
    async with supervisor(paths):
        for _ in range(5):
            async with await stream(paths, b"nonsense\n") as opened:
                with anyio.fail_after(10), pytest.raises(anyio.EndOfStream):
                    await opened.receive()
        assert log.with_suffix(".log.1").read_bytes().startswith(b"xxx")
        assert b"a client was dropped" in log.read_bytes()
        assert log.stat().st_size < LOG_LIMIT


async def test_it_leaks_no_descriptors(paths: Paths, server: Sshd):
    async with supervisor(paths) as process:
        await run(ssh_command(paths, server, "true"))
        before = len(os.listdir(f"/proc/{process.pid}/fd"))
        for _ in range(5):
            await run(ssh_command(paths, server, "true"))
        with anyio.fail_after(10):
            while len(os.listdir(f"/proc/{process.pid}/fd")) > before:  # noqa: ASYNC110
                await anyio.sleep(0.1)  # streams linger for seconds; another process's descriptors have no event


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


class Refusing:
    async def dial(self, port: int) -> ByteStream:
        raise SessionGone("the pod is gone")


class Mute:
    def __init__(self) -> None:
        self.dialled = anyio.Event()

    async def dial(self, port: int) -> ByteStream:
        self.dialled.set()
        self.dialled = anyio.Event()
        raise ConnectionLost("no way", why="cable")


async def test_what_cannot_heal_is_not_held():
    async def resolve() -> Refusing:
        return Refusing()

    near, far = socket.socketpair()
    async with await LocalStream.over(near) as held:
        with far, pytest.raises(SessionGone), anyio.fail_after(2):
            await Road(resolve, 1).join(held)


async def test_a_hold_ends_with_the_reason():
    async def resolve() -> Mute:
        return Mute()

    near, far = socket.socketpair()
    async with await LocalStream.over(near) as held:
        with far, pytest.raises(ConnectionLost, match="cable"), anyio.fail_after(5):
            await Road(resolve, 1, hold=0.3).join(held)


async def test_clients_that_give_up_one_after_the_other_make_no_more_dials_than_one():
    mute = Mute()

    async def resolve() -> Mute:
        return mute

    async def joined(road: Road, giving_up: anyio.CancelScope) -> None:
        near, far = socket.socketpair()
        with far, giving_up:
            async with await LocalStream.over(near) as held:
                await road.join(held)

    road, clients = Road(resolve, 1), [anyio.CancelScope() for _ in range(5)]
    began = anyio.current_time()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(joined, road, client)
            for client in clients:
                await mute.dialled.wait()
                client.cancel()
    assert anyio.current_time() - began > (len(clients) - 1) * FIRST_S - 0.01


class Mended:
    """A way that is cut until somebody sets `up`; whoever is behind it speaks first."""

    def __init__(self) -> None:
        self.up = False
        self.ends: list[socket.socket] = []

    async def dial(self, port: int) -> ByteStream:
        if not self.up:
            raise ConnectionLost("no way", why="cable")
        near, far = socket.socketpair()
        self.ends.append(far)
        far.sendall(b"SSH-2.0")
        return await LocalStream.over(near)


async def test_a_way_that_works_again_wakes_whoever_waits_for_another_to_that_pod():
    way, told = Mended(), list[str]()

    async def resolve(name: str) -> Dialer:
        return way

    # The first of them would wait for months.
    waits = iter([Backoff(last=1e9, first=0.05, quick=-40), Backoff(last=0.1, first=0.05)])
    roads = Roads(resolve, backoff=lambda: next(waits), good=told.append)
    async with anyio.create_task_group() as tasks:
        clients = []
        for port in (2222, 2223):
            near, far = socket.socketpair()
            clients.append(await LocalStream.over(near))
            tasks.start_soon(roads.to("one", port).join, await LocalStream.over(far))
        await anyio.wait_all_tasks_blocked()
        way.up = True
        for one in clients:
            with anyio.fail_after(10):
                assert await one.receive() == b"SSH-2.0"
            await one.aclose()
        assert told == ["one", "one"]
        roads.look()
        assert told == ["one", "one", "one"]
        for end in way.ends:
            end.close()


def test_the_log_is_put_aside_when_it_is_long(tmp_path: Path):
    log = tmp_path / "supervisor.log"
    log.write_bytes(b"x" * (2 * 1024 * 1024))
    with fdpass.log_file(str(tmp_path)) as fresh:
        fresh.write(b"new")
    assert log.read_bytes() == b"new"
    assert log.with_suffix(".log.1").stat().st_size == 2 * 1024 * 1024
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
