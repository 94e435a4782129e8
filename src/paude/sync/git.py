"""Git on the laptop, in the developer's own repository: no hook, no prompt, no settings but the repository's own."""

from __future__ import annotations

from pathlib import Path

import anyio

from paude import report
from paude.errors import CommandFailed
from paude.process import Completed, ToolMissing, quiet_environment, run

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


async def git(workspace: Path, *words: str | Path, check: bool = True, **settings: str) -> Completed:
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
    return await run(["git", "-C", workspace, "--no-pager", *fixed, *words], env=environment, check=check)


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


async def git_path(workspace: Path, name: str) -> Path:
    """Where a file of the repository lies, which in a worktree is not below `.git`."""
    return workspace / (await answer(workspace, "rev-parse", "--git-path", name))
