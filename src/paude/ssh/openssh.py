"""OpenSSH's own programs, with paude's configuration and nobody else's."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from paude.errors import ConnectionLost
from paude.process import Completed, ToolMissing, run
from paude.settings import Paths
from paude.ssh.result import Result
from paude.ssh.ssh_config import agent_alias

WORKSPACE = "/workspace"
_NO_WAY = 255


def words(paths: Paths) -> tuple[str, ...]:
    """The command line of ssh up to the host."""
    return ("ssh", "-F", str(paths.state / "ssh_config"))


@dataclass(frozen=True)
class SshProgram:
    """Commands to one sshd, a program for each. What waits in the background for hours is small without a library."""

    paths: Paths
    alias: str

    async def run(self, command: str, *, stdin: AsyncIterable[bytes] | bytes | None = None) -> Result:
        """Run `command` to its end. Raises ConnectionLost, ToolMissing."""
        assert stdin is None, "nothing is sent by this way"
        done = await self._run(command)
        return Result(done.returncode, done.stdout, done.stderr.encode())

    async def follow(self, command: str, tell: Callable[[str], None]) -> None:
        """Give `tell` each line that it prints, until it ends. Raises ConnectionLost, ToolMissing."""
        await self._run(command, tell)

    async def _run(self, command: str, tell: Callable[[str], None] | None = None) -> Completed:
        argv = (*words(self.paths), self.alias, "--", command)
        done = await run(argv, check=False, on_stdout=tell)
        if done.returncode == _NO_WAY:
            raise ConnectionLost("the connection to the pod is lost", why=done.stderr.strip()[-500:])
        return done


def become_ssh(paths: Paths, session: str, command: Sequence[str], *, terminal: bool) -> NoReturn:
    """Become `ssh` running `command` in the workspace; its exit code is the command's, 255 the way's."""
    remote = f"cd {WORKSPACE} && exec {shlex.join(command)}"
    _become([*words(paths), "-tt" if terminal else "-T", agent_alias(session), "--", remote])


def become_scp(paths: Paths, arguments: Sequence[str]) -> NoReturn:
    """Become `scp`; sessions are named by their ssh alias in `arguments`."""
    _become(["scp", *words(paths)[1:], *arguments])


def _become(argv: list[str]) -> NoReturn:
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError as exc:
        raise ToolMissing(f"`{argv[0]}` is not installed", hint="install the OpenSSH client") from exc
