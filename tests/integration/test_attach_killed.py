"""What becomes of the terminal when `attach` is ended from outside: a process of its own, at a real terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from ssh_server import Sshd, sshd
from terminal_user import Tmux, User, tmux

PROGRAM = """\
import json, sys
import anyio
from paude.errors import PaudeError
from paude.ssh.shell import Identity, Remote, attach
from paude.ssh.terminal import Terminal

told = json.loads(sys.argv[1])

class Way:
    async def dial(self, port):
        return await anyio.connect_tcp("127.0.0.1", port)

remote = Remote(told["port"], told["user"], told["socket"])
with open(told["key"]) as key:
    identity = Identity(key.read(), told["host_key"])
try:
    anyio.run(lambda: attach(Way(), identity, Terminal(kind="xterm-256color"), remote=remote))
except PaudeError as exc:
    sys.exit(exc.exit_code)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Tmux]:
    with tmux(tmp_path, "cat") as one:
        yield one


@asynccontextmanager
async def attached(server: Sshd, agent: Tmux) -> AsyncIterator[tuple[User, Process]]:
    user = User()
    key = server.directory / "client"
    key.write_text(server.client.private_openssh)
    told = {"port": server.port, "user": server.user, "socket": str(agent.socket), "key": str(key)}
    words = [sys.executable, "-c", PROGRAM, json.dumps({**told, "host_key": server.host.public_openssh})]
    async with await anyio.open_process(
        words, stdin=user.slave, stdout=user.slave, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            await user.sees(b"\x1b[?1049h", 20)
            user.type(b"hello\r")
            await agent.holds("hello", "hello")
            assert not user.restored
            yield user, process
        finally:
            if process.returncode is None:
                process.kill()
    user.close()


async def test_after_sigkill_the_guardian_brings_the_terminal_back(server: Sshd, agent: Tmux):
    async with attached(server, agent) as (user, process):
        process.send_signal(signal.SIGKILL)
        await user.sees(b"\x1b[?1049l")
        await user.sees(b"\x1b[?25h\r\n")
        with anyio.fail_after(5):
            while not user.restored:  # noqa: ASYNC110 -- the settings of a terminal have no event
                await anyio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_ends_it_with_the_terminal_restored(server: Sshd, agent: Tmux, number: signal.Signals):
    async with attached(server, agent) as (user, process):
        process.send_signal(number)
        with anyio.fail_after(10):
            assert await process.wait() == 130
        await user.sees(b"\x1b[?1049l")
        assert user.restored
        assert agent("has-session", "-t", "agent") == ""
