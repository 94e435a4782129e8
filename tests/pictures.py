"""What a terminal shows of bytes that a program printed, with paude's filter before it and without.

The terminal that shows both pictures is a tmux: a real one, that can be asked what it shows.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from paude.ssh.filter import TerminalFilter
from terminal_user import User, tmux


@asynccontextmanager
async def looking(words: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[User]:
    """A user at an xterm in which this program runs."""
    user = User()
    async with await anyio.open_process(
        words, stdin=user.slave, stdout=user.slave, env={**env, "TERM": "xterm-256color"}, start_new_session=True
    ) as program:
        try:
            yield user
        finally:
            program.kill()
    user.close()


async def same_picture(directory: Path, drawn: bytes) -> str:
    """The screen after `drawn`, which has to be the same with the filter and without."""
    sieve = TerminalFilter()
    filtered = b"".join(sieve.feed(drawn[n : n + 1000]) for n in range(0, len(drawn), 1000))
    assert len(filtered) < len(drawn), "tmux asked the terminal something"
    (directory / "with").mkdir()
    (directory / "without").mkdir()
    with_it = await picture(directory / "with", filtered)
    assert with_it == await picture(directory / "without", drawn)
    return with_it


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
