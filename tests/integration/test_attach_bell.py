"""The agent that waits for its user, from its hook through tmux to what the user's terminal is given."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from attaching import attached
from paude.images import hooks
from paude.sessions.activity import Activity, Doing, parse
from paude.ssh.filter import TerminalFilter
from paude.ssh.notify import Notifier
from paude.ssh.shell import State
from ssh_server import Sshd, sshd
from terminal_user import tmux

NOTE = b"\x1b]9;paude: demo waits for you\x07"
PLACE = "tmux -S /run/paude/tmux.sock"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


def program(directory: Path, event: str, told: dict[str, str]) -> str:
    """What stands for the coding agent: with each Enter it runs its hook for the event, and says so."""
    settings = json.loads(hooks.claude(str(directory / "state")))
    (one,) = settings["hooks"][event][0]["hooks"]
    assert PLACE in one["command"] or event == "UserPromptSubmit"
    hook = one["command"].replace(PLACE, f"tmux -S {shlex.quote(str(directory / 'tmux.sock'))}")
    script = directory / "agent.sh"
    script.write_text(f"while read -r _; do printf %s {shlex.quote(json.dumps(told))} | ({hook}); echo told; done\n")
    return f"sh {shlex.quote(str(script))}"


@pytest.mark.parametrize("event", ["Notification", "Stop"])
async def test_an_agent_that_waits_rings_and_the_desktop_is_told_in_paudes_words(
    server: Sshd, tmp_path: Path, event: str
):
    with tmux(tmp_path, program(tmp_path, event, {"message": "may I? \x1b]9;click here\x07"})) as agent:
        async with attached(server, agent, output=lambda: Notifier(TerminalFilter(), "demo")) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\r")
            await one.user.sees(NOTE)
            assert b"click here" not in one.user.shown
            assert b"\x07" in one.user.shown.replace(NOTE, b""), "the bell itself"
    found = parse((tmp_path / "state").read_text())
    assert found is not None
    assert (found.doing, found.message[:6]) == (Doing.WAITING, "may I?")


async def test_an_agent_that_works_does_not_ring(server: Sshd, tmp_path: Path):
    with tmux(tmp_path, program(tmp_path, "UserPromptSubmit", {})) as agent:
        async with attached(server, agent, output=lambda: Notifier(TerminalFilter(), "demo")) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\r")
            await one.user.sees(b"told")
            assert NOTE not in one.user.shown
    assert parse((tmp_path / "state").read_text()) == Activity(Doing.WORKING)
