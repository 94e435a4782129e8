"""Handing the process over to OpenSSH's own programs, with paude's configuration and nobody else's."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import NoReturn

from paude.process import ToolMissing
from paude.settings import Paths
from paude.ssh.ssh_config import agent_alias

WORKSPACE = "/workspace"


def become_ssh(paths: Paths, session: str, command: Sequence[str], *, terminal: bool) -> NoReturn:
    """Become `ssh` running `command` in the workspace; its exit code is the command's, 255 the way's."""
    config = str(paths.state / "ssh_config")
    remote = f"cd {WORKSPACE} && exec {shlex.join(command)}"
    _become(["ssh", "-F", config, "-tt" if terminal else "-T", agent_alias(session), "--", remote])


def become_scp(paths: Paths, words: Sequence[str]) -> NoReturn:
    """Become `scp`; sessions are named by their ssh alias in `words`."""
    _become(["scp", "-F", str(paths.state / "ssh_config"), *words])


def _become(words: list[str]) -> NoReturn:
    try:
        os.execvp(words[0], words)
    except FileNotFoundError as exc:
        raise ToolMissing(f"`{words[0]}` is not installed", hint="install the OpenSSH client") from exc
