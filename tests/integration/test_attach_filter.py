"""An agent that writes past tmux does nothing to the user's terminal; what tmux draws looks the same.

The terminal that shows both pictures is a second tmux: a real one, that can be asked what it shows.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from attaching import attached
from paude.ssh.filter import TerminalFilter
from paude.ssh.screen import PassThrough
from paude.ssh.shell import State
from ssh_server import Sshd, sshd
from terminal_output import REFUSED
from terminal_user import Tmux, User, tmux

QUESTIONS = (b"\x1b[c", b"\x1b[>c", b"\x1b[>q")
CLIPBOARD = b"\x1b]52;"

# Drawn as the usual programs draw: a monitor with bars, and an agent with boxes, a spinner, links and wide characters.
MONITOR = r"""
import sys
w = sys.stdout.write
w("\x1b[?1049h\x1b[?25l\x1b[?1h\x1b=\x1b[?1000h\x1b[?1006h\x1b[H\x1b[2J")
for n in range(8):
    w(f"\x1b[{n+1};1H\x1b[36m{n:3}\x1b[39;1m[")
    w(f"\x1b[0;32m{'|' * n * 5}\x1b[31m||\x1b[90m{' ' * 9}12.{n}%\x1b[39;1m]\x1b[0m")
w("\x1b[10;1H\x1b[30;42m  PID USER      PRI  NI  VIRT   RES\x1b[K\x1b[0m")
for n in range(11, 22):
    w(f"\x1b[{n};1H\x1b[30;46m" if n == 13 else f"\x1b[{n};1H")
    w(f"{n*37:5} root       20   0 \x1b[36m{n}M\x1b[0m\x1b[K")
w("\x1b[11;20r\x1b[11;1H\x1bM\x1b[r\x1b[24;1HF1\x1b[30;46mHelp  \x1b[0mF10\x1b[30;46mQuit\x1b[0m drawn")
sys.stdout.flush()
sys.stdin.read()
"""
AGENT = r"""
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


@pytest.mark.parametrize("program", ["editor", "monitor", "agent"])
async def test_a_full_screen_program_looks_the_same_with_and_without_the_filter(tmp_path: Path, program: str):
    drawn = await recorded(tmp_path, command_of(tmp_path, program), b"drawn")
    sieve = TerminalFilter()
    filtered = b"".join(sieve.feed(drawn[n : n + 1000]) for n in range(0, len(drawn), 1000))
    assert len(filtered) < len(drawn), "tmux asked the terminal something"
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    with_it, without = await picture(tmp_path / "with", filtered), await picture(tmp_path / "without", drawn)
    assert with_it == without
    assert "drawn" in with_it


def command_of(directory: Path, program: str) -> str:
    """The command line of a program that fills the screen and at last says `drawn`."""
    if program == "editor":
        (directory / "some.py").write_text(Path(__file__).read_text())
        settings = "-c 'set number title ruler hlsearch mouse=a laststatus=2' -c '/sshd' -c 'syntax on'"
        return f"vim -u NONE {settings} -c 'vsplit' -c 'echo \"drawn\"' {directory / 'some.py'}"
    script = directory / "draws.py"
    script.write_text(MONITOR if program == "monitor" else AGENT)
    return f"{sys.executable} {script}"


async def recorded(directory: Path, command: str, last: bytes) -> bytes:
    """What a tmux client prints at an xterm in which `command` runs, until it has printed `last`."""
    with tmux(directory, command) as agent:
        agent("set", "-ga", "terminal-overrides", ",*:Tc")
        user = User()
        words = ["tmux", "-u", "-S", str(agent.socket), "attach"]
        env = {**os.environ, "TERM": "xterm-256color"}
        async with await anyio.open_process(
            words, stdin=user.slave, stdout=user.slave, env=env, start_new_session=True
        ) as client:
            await user.sees(last)
            shown = bytes(user.shown)
            client.kill()
        user.close()
    return shown


async def picture(directory: Path, drawn: bytes) -> str:
    """The screen of a terminal that was given `drawn`: characters, colours, cursor, modes."""
    (directory / "drawn").write_bytes(drawn)
    shows = f"stty raw -echo; cat {directory / 'drawn'}; printf '\\033]2;all\\033\\\\'; exec sleep 60"
    with tmux(directory, f"sh -c {shlex.quote(shows)}") as terminal:
        with anyio.fail_after(10):
            while terminal("display", "-p", "#{pane_title}").strip() != "all":  # noqa: ASYNC110 -- no event
                await anyio.sleep(0.05)
        modes = "alternate_on cursor_x cursor_y cursor_flag mouse_any_flag keypad_cursor_flag scroll_region_lower"
        state = terminal("display", "-p", " ".join(f"#{{{mode}}}" for mode in modes.split()))
        return terminal("capture-pane", "-p", "-e") + state
