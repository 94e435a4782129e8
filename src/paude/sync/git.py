"""Git on the laptop, in the developer's own repository: no hook, no prompt, no settings but the repository's own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from paude import report
from paude.errors import CommandFailed, TimedOut
from paude.process import Completed, ToolMissing, quiet_environment, run

_TURN_S = 60.0
_FIXED = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.alternateRefsCommand": "",
    "core.logAllRefUpdates": "always",
    "credential.helper": "",
    "diff.external": "",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "true",
}


async def git(
    workspace: Path, *words: str | Path, check: bool = True, stdin: bytes | None = None, **settings: str
) -> Completed:
    """Run one git command in `workspace`; `settings` are variables of its environment. Raises CommandFailed."""
    settled = {**_FIXED, "safe.directory": str(workspace)}
    fixed = [word for key, value in settled.items() for word in ("-c", f"{key}={value}")]
    environment = quiet_environment(
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL="/dev/null",
        GIT_ATTR_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_OPTIONAL_LOCKS="0",
        **settings,
    )
    return await run(["git", "-C", workspace, "--no-pager", *fixed, *words], stdin=stdin, env=environment, check=check)


async def answer(workspace: Path, *words: str) -> str:
    """What a git command prints, without its line end; empty when it fails."""
    done = await git(workspace, *words, check=False)
    return done.text.strip() if done.returncode == 0 else ""


async def is_repository(workspace: Path) -> bool:
    """Whether `workspace` is the top of a repository's working tree (a clone, a worktree or a submodule)."""
    try:
        top = await git(workspace, "rev-parse", "--show-toplevel")
    except ToolMissing:
        return False
    except CommandFailed as exc:
        if "not a git repository" not in exc.stderr:
            report.line(f"git cannot be used here: {exc.why}")
        return False
    return await anyio.Path(top.text.removesuffix("\n")).samefile(workspace)


@asynccontextmanager
async def alone(workspace: Path) -> AsyncIterator[None]:
    """Keep other processes of paude away from the repository's refs while the block runs.

    Raises TimedOut when another one does not come to its end.
    """
    directory = await git_path(workspace, ".")
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with anyio.move_on_after(_TURN_S) as limit:
            while not _locked(handle):  # noqa: ASYNC110
                await anyio.sleep(0.02)  # a lock has no event, and a thread that waits for it cannot be called back
        if limit.cancelled_caught:
            raise TimedOut("another paude command is at work on this repository")
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def git_path(workspace: Path, name: str) -> Path:
    """Where a file of the repository lies, which in a worktree is not below `.git`."""
    return workspace / (await answer(workspace, "rev-parse", "--git-path", name))
