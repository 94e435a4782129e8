"""Starts that are meant to fail, and the check that nothing of them is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from laptop import Admin, Laptop

# Sockets and locks of the supervisor, which goes on for a while when its last session has gone.
_SUPERVISOR = (".sock", ".lock", ".pid", ".log")
WAIT_S = 120


def names(directory: Path) -> set[str]:
    """What lies in a directory; nothing if there is none."""
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


@dataclass
class Running:
    """A `paude` that tells its events; `name` is the session's, once it is known."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)

    def until_started(self, step: str) -> bool:
        """Read events until the step has started; False when the command ended before."""
        return any(e.get("step") == step and e.get("phase") == "started" for e in self._told())

    def _told(self) -> Iterator[dict[str, Any]]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            event = json.loads(line) if line.startswith("{") else {"type": "text", "text": line}
            self.events.append(event)
            yield event

    def signal(self, number: signal.Signals) -> None:
        """As a terminal does it: to the whole group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Its exit code; the rest of what it said is in `events`."""
        for _ in self._told():
            pass
        with self.process:  # closes the pipes
            return self.process.wait(WAIT_S)

    @property
    def words(self) -> str:
        """What it said beside events."""
        return "".join(str(e["text"]) for e in self.events if e["type"] == "text")


@dataclass(frozen=True)
class Here:
    """A laptop, a workspace, and the namespace in which starts of it are tried."""

    laptop: Laptop
    admin: Admin
    workspace: Path
    space: str

    def words(self, *more: str) -> list[str]:
        """The words of a start."""
        return ["start", str(self.workspace), "--agent", "shell", "--detach", "-n", self.space, *more]

    def start(self, *more: str, **env: str) -> str:
        """A start that succeeds; gives the session's name."""
        self.laptop.paude(*self.words(*more), **env)
        return str(self.laptop.records()[str(self.workspace)]["name"])

    def begin(self, *more: str) -> Running:
        """A start whose events can be waited for."""
        return Running(self.laptop.popen(*self.words("--progress", "json", *more)))

    def refused(self, *more: str, code: int, says: tuple[str, ...], clean: bool = True, **env: str) -> str:
        """A start that ends with `code` and these words (what, why, hint), and leaves nothing."""
        done = self.laptop.paude(*self.words(*more), code=code, **env)
        for word in says:
            assert re.search(word, done.stderr), f"no {word!r} in:\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "left behind" not in done.stderr
        assert done.stderr.count("error: ") == 1, done.stderr
        assert done.stdout == ""
        if clean:
            self.leaves_nothing()
        return done.stderr

    def beside(self, name: str) -> Here:
        """The same laptop and namespace, another project."""
        return of(self.laptop, self.admin, self.space, name)

    def forgets(self, name: str) -> None:
        """Nothing of the session is left, here or in the cluster, whatever other sessions there are."""
        assert self.objects(name) == set()
        assert name not in names(self.laptop.state / "paude" / "sessions")

    def leaves_nothing(self) -> None:
        """No object of a session, no record, no temporary file, no sync, no ssh alias; the workspace as it was."""
        assert self.objects() == set()
        paude = self.laptop.state / "paude"
        assert self.laptop.records() == {}
        assert names(paude / "sessions") == set()
        assert names(paude / "sync" / "sessions") == set()
        assert names(self.laptop.home / ".t") == set()
        runtime = names(self.laptop.home / ".r" / "paude")
        assert {name for name in runtime if not name.endswith(_SUPERVISOR)} == set()
        aliases = paude / "ssh_config"
        assert not aliases.exists() or "Host " not in aliases.read_text()
        assert (self.workspace / "README").read_text() == "hello\n"

    def objects(self, session: str | None = None) -> set[str]:
        """What the namespace holds of one session or all: shared things (baseline, proxies) are none of them.

        What is being deleted (a claim waits for its pod's node) counts until it is gone, for a moment.
        """
        selector = "paude.io/session-uid" if session is None else f"paude.io/session={session}"
        found = self.admin.names("-l", selector, namespace=self.space)
        if found:
            self.admin("wait", "--for=delete", "--timeout=10s", *sorted(found), namespace=self.space, check=False)
            found = self.admin.names("-l", selector, namespace=self.space)
        return found


def of(laptop: Laptop, admin: Admin, space: str, name: str = "project") -> Here:
    """A project of this laptop, whose temporary files are its own."""
    temporary = laptop.home / ".t"
    temporary.mkdir(exist_ok=True)
    laptop.env |= {"TMPDIR": str(temporary), "PAUDE_BACKEND": "kubernetes"}
    directory = laptop.home / name
    return Here(laptop, admin, directory if directory.exists() else laptop.workspace(name), space)
