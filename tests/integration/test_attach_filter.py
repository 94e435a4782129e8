"""An agent that writes past tmux does nothing to the user's terminal; what tmux draws looks the same."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attaching import attached
from paude.ssh.filter import TerminalFilter
from paude.ssh.screen import PassThrough
from paude.ssh.shell import State
from pictures import looking, same_picture
from ssh_server import Sshd, sshd
from terminal_output import REFUSED
from terminal_user import Tmux, tmux

QUESTIONS = (b"\x1b[c", b"\x1b[>c", b"\x1b[>q")
CLIPBOARD = b"\x1b]52;"

# Boxes, a spinner, links and wide characters, as agents draw.
BOXES = r"""
import sys
w = sys.stdout.write
w("\x1b[?2004h\x1b[?1004h\x1b]0;\u2733 agent\x07\x1b[?25l")
w("\x1b[38;2;215;119;87m╭" + "─" * 60 + "╮\r\n│\x1b[39m \x1b[1mWelcome\x1b[22m \x1b[2m日本語 🦀 é\x1b[22m")
w("\x1b[38;2;215;119;87m\x1b[62G│\r\n╰" + "─" * 60 + "╯\x1b[39m\r\n")
for n in range(30):
    w(f"\x1b[?2026h\r\x1b[2K\x1b[38;5;{n+16}m✻\x1b[39m Working… ({n}s · \x1b[3mesc to interrupt\x1b[23m)\x1b[?2026l")
w("\r\n\x1b[48;2;34;92;43m+ added \x1b[0m\r\n\x1b[48;2;122;41;54m- gone\x1b[0m\x1b[4:3mwavy\x1b[0m\r\n")
w("\x1b]8;;https://example.test/\x1b\\a link\x1b]8;;\x1b\\\r\n")
w("\x1b[3A\x1b[2L\x1b[7mreverse\x1b[27m\x1b[8;1H\x1b[0J> \x1b[7m \x1b[0m drawn")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Tmux]:
    with tmux(tmp_path, "cat") as one:
        yield one


def past_tmux(agent: Tmux, data: bytes) -> None:
    """What any program of the pod can do: write to the pty of the developer's tmux client."""
    (tty,) = agent.clients()
    handle = os.open(tty, os.O_WRONLY | os.O_NOCTTY)
    try:
        assert os.write(handle, data) == len(data)
    finally:
        os.close(handle)


async def test_what_is_written_past_tmux_does_not_reach_beyond_the_screen(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        for number, output in enumerate(REFUSED.values()):
            past_tmux(agent, b"<%d%b>" % (number, output))
            await one.user.sees(b"<%d>" % number)
        assert [name for name, output in REFUSED.items() if output in one.user.shown] == []
        assert not [question for question in QUESTIONS if question in one.user.shown]
        one.user.type(b"hello\r")
        await agent.holds("hello", "hello")


async def test_without_the_filter_it_would(server: Sshd, agent: Tmux):
    async with attached(server, agent, output=PassThrough) as one:
        await one.becomes(State.LIVE)
        past_tmux(agent, REFUSED["clipboard write"] + b"<end>")
        await one.user.sees(b"<end>")
        assert REFUSED["clipboard write"] in one.user.shown
        assert QUESTIONS[1] in one.user.shown


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_program_copies_to_the_clipboard_when_the_user_allows_it(server: Sshd, tmp_path: Path, allowed: bool):
    copies = r"read x; printf '\033]52;c;Y29waWVk\007done\n'; cat"
    with tmux(tmp_path, f"sh -c {shlex.quote(copies)}") as agent:
        agent("set", "-s", "set-clipboard", "off")

        def sieve() -> TerminalFilter:
            return TerminalFilter(clipboard=allowed)

        async with attached(server, agent, output=sieve, clipboard=allowed) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\r")
            await one.user.sees(b"done")
            assert (CLIPBOARD in one.user.shown) is allowed


@pytest.mark.parametrize(("program", "last"), [("vim", "drawn"), ("htop", "Kill"), ("boxes", "drawn")])
async def test_a_full_screen_program_looks_the_same_with_and_without_the_filter(
    tmp_path: Path, program: str, last: str
):
    with tmux(tmp_path, command_of(tmp_path, program)) as agent:
        agent("set", "-ga", "terminal-overrides", ",*:Tc")
        async with looking(["tmux", "-u", "-S", str(agent.socket), "attach"], os.environ) as user:
            await user.sees(last.encode())
            drawn = bytes(user.shown)
    assert last in await same_picture(tmp_path, drawn)


def command_of(directory: Path, program: str) -> str:
    """The command line of a program that fills the screen."""
    if program == "htop":
        return "htop --delay=5"
    if program == "vim":
        (directory / "some.py").write_text(Path(__file__).read_text())
        settings = "-c 'set number title ruler hlsearch mouse=a laststatus=2' -c '/sshd' -c 'syntax on'"
        return f"vim -u NONE {settings} -c 'vsplit' -c 'echo \"drawn\"' {directory / 'some.py'}"
    script = directory / "draws.py"
    script.write_text(BOXES)
    return f"{sys.executable} {script}"
