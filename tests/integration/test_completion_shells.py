"""Tab in a real bash, zsh and fish, each set up by the line that `paude completion --help` gives for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths
from terminal_user import User

PROMPT = b"ready> "
# The file that the shell reads, and what stands in it.
SET_UP = {
    "bash": (".bashrc", 'PS1="ready> "\neval "$(paude completion bash)"\n'),
    "zsh": (".zshrc", 'PS1="ready> "\nautoload -Uz compinit; compinit -u\neval "$(paude completion zsh)"\n'),
    "fish": (".config/fish/config.fish", "function fish_prompt; echo 'ready> '; end\n"),
}
# Completion asks paude itself; what is typed is only told.
PROGRAM = """#!/bin/sh
case "$_PAUDE_COMPLETE$1" in ?*_*|completion) exec "{python}" -m paude "$@" ;; esac
echo "called:$(printf ' <%s>' "$@")"
"""
COMPLETED = [
    ("paude att\t", "<attach>"),
    ("paude attach wo\t", "<attach> <worker>"),
    ("paude stop we\t", "<stop> <web>"),
    ("paude sync status wo\t", "<sync> <status> <worker>"),
    ("paude exec wo\t", "<exec> <worker>"),
    ("paude start --context cr\t", "<start> <--context> <crc>"),
    ("paude attach gone\t", "<attach> <gone>"),
]
KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: crc, context: {cluster: c, user: u}}, {name: work, context: {cluster: c, user: u}}]
"""


def paths(home: Path) -> Paths:
    return Paths(*(home / part / "paude" for part in ("state", "run", "config", "cache")))


def remember(home: Path, name: str) -> None:
    made = "2026-01-01T00:00:00+00:00"
    records.save(paths(home), Record(name, "0" * 16, "kubernetes", "/w", "shell", made, committed=True))


@dataclass(frozen=True)
class Typing:
    """Somebody at a shell, at its prompt."""

    user: User

    async def gives(self, keys: str, called: str) -> None:
        """What paude is called with when these keys and Enter were pressed."""
        self.user.shown.clear()
        self.user.type(keys.encode() + b"\r")
        await self.user.sees(f"called: {called}\r\n".encode(), 30)
        await self.user.sees(PROMPT, 30)


@contextmanager
def at_the_terminal(words: list[str], terminal: int, env: dict[str, str]) -> Iterator[None]:
    """A program whose controlling terminal it is."""

    def control() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    with subprocess.Popen(words, env=env, cwd=env["HOME"], preexec_fn=control, **streams) as child:
        try:
            yield
        finally:
            child.kill()


@asynccontextmanager
async def typing(shell: str, home: Path) -> AsyncIterator[Typing]:
    assert shutil.which(shell), f"{shell} is not installed: scripts/lib/prerequisites does that"
    for name in ("web", "worker"):
        remember(home, name)
    (home / "kubeconfig").write_text(KUBECONFIG)
    program = home / "bin/paude"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    env = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "KUBECONFIG": str(home / "kubeconfig"),
    }
    name, text = SET_UP[shell]
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    if shell == "fish":
        file = home / ".config/fish/completions/paude.fish"
        file.parent.mkdir(parents=True)
        with file.open("w") as into:
            await anyio.run_process([program, "completion", "fish"], env=env, stdin=subprocess.DEVNULL, stdout=into)
    user = User()
    with at_the_terminal([shell, "-i"], user.slave, env):
        await user.sees(PROMPT, 60)
        yield Typing(user)
    user.close()


@pytest.mark.parametrize("shell", SET_UP)
async def test_a_tab_completes_verbs_live_sessions_and_contexts(shell: str, tmp_path: Path) -> None:
    async with typing(shell, tmp_path) as one:
        for keys, called in COMPLETED:
            await one.gives(keys, called)


@pytest.mark.parametrize("shell", SET_UP)
async def test_a_session_that_has_ended_completes_no_more_and_a_new_one_does(shell: str, tmp_path: Path) -> None:
    async with typing(shell, tmp_path) as one:
        await one.gives("paude attach wo\t", "<attach> <worker>")
        records.forget(paths(tmp_path), "worker")
        await one.gives("paude attach wo\t", "<attach> <wo>")
        remember(tmp_path, "world")
        await one.gives("paude attach wo\t", "<attach> <world>")


@pytest.mark.parametrize("shell", SET_UP)
async def test_several_that_fit_are_listed(shell: str, tmp_path: Path) -> None:
    async with typing(shell, tmp_path) as one:
        one.user.type(b"paude attach w\t\t")
        await one.user.sees(b"worker", 30)
        await one.user.sees(b"web", 30)
