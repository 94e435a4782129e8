"""Whatever a user can press or paste, and whatever size the window gets: it arrives, and the terminal goes on."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from attaching import attached
from paude.ssh.shell import State
from ssh_server import Sshd, sshd
from terminal_user import User, tmux


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


async def pastes(user: User, text: bytes) -> None:
    """Type as fast as the terminal takes it."""
    while text:
        try:
            text = text[os.write(user.master, text) :]
        except OSError as exc:
            if exc.errno != errno.EAGAIN:
                raise
            await anyio.wait_writable(user.master)


async def test_a_megabyte_that_is_pasted_arrives_whole(server: Sshd, tmp_path: Path):
    text = b"".join(b"%015d\r" % number for number in range(65_536))
    counts = f"stty raw -echo; echo ready; head -c {len(text)} | sha256sum; cat"
    with tmux(tmp_path, f"sh -c '{counts}'") as agent:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            await one.user.sees(b"ready")
            with anyio.fail_after(60):
                await pastes(one.user, text)
            await one.user.sees(hashlib.sha256(text).hexdigest().encode(), 60)
            assert one.link.dials == 1, "and the link was never taken for dead"


async def test_keys_that_stop_a_local_program_are_the_agents(server: Sshd, tmp_path: Path):
    with tmux(tmp_path, "sh -c 'stty raw -echo; echo ready; cat -v'") as agent:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            await one.user.sees(b"ready")
            one.user.type(b"\x1a\x1c\x13\x11\x03\x04")
            await one.user.sees(b"^Z^\\^S^Q^C^D")
            one.user.type("wide 漢 ZWJ 👩\u200d💻 combining e\u0301 ".encode())
            await one.user.sees(b"wide")


@pytest.mark.parametrize("bracket", [b"\x1b[201~", b"\x1b[200~\x1b[200~"])
async def test_marks_of_a_paste_within_a_paste_harm_nothing(server: Sshd, tmp_path: Path, bracket: bytes):
    with tmux(tmp_path, "cat") as agent:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\x1b[200~one" + bracket + b"two\x1b[201~\r")
            one.user.type(b"after\r")
            await one.user.sees(b"after")


async def test_any_size_of_the_window_is_taken_and_the_last_one_counts(server: Sshd, tmp_path: Path):
    with tmux(tmp_path, "sh -c 'while read x; do stty size; done'") as agent:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            for columns, rows in [(1, 1), (0, 0), (10_000, 10_000), *((n, n) for n in range(1, 200)), (91, 31)]:
                one.user.resize(columns, rows)
                os.kill(os.getpid(), signal.SIGWINCH)
                await anyio.lowlevel.checkpoint()
            one.user.type(b"\r")
            agent("set-hook", "-g", "client-resized", "send-keys -t agent Enter")
            await one.user.sees(b"31 91")
