"""A developer's machine, and the administrator of the cluster, as tests use them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

START_S = 300


@dataclass
class Laptop:
    """A developer's machine: a home of its own, and `paude` on it."""

    home: Path
    state: Path
    env: dict[str, str] = field(repr=False)
    program: tuple[str, ...] = (sys.executable, "-m", "paude")
    asked: list[tuple[str, ...]] = field(default_factory=list, init=False, repr=False)
    """The words of every `paude` that was run."""

    def paude(
        self, *words: str, code: int | None = 0, cwd: Path | None = None, timeout: float = START_S, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `paude`; the exit code must be `code` (None: any)."""
        self.asked.append(words)
        done = subprocess.run(
            [*self.program, *words],
            env={**self.env, **env},
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        printed = f"paude {words} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert code is None or done.returncode == code, printed
        return done

    def popen(self, *words: str, terminal: int | None = None, **env: str) -> subprocess.Popen[str]:
        """Start `paude` in a session of its own, to be killed or interrupted, at a terminal if one is given."""
        self.asked.append(words)
        return subprocess.Popen(
            [*self.program, *words],
            env={**self.env, **env},
            cwd=self.home,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, workspace: Path, *words: str, code: int | None = 0, **env: str) -> str:
        """Start a session with a shell as the agent; gives its name."""
        self.paude("start", str(workspace), "--agent", "shell", "--detach", *words, code=code, **env)
        return str(self.records()[str(workspace)]["name"])

    def records(self) -> dict[str, dict[str, object]]:
        """What this laptop knows, by workspace."""
        files = (self.state / "paude" / "sessions").glob("*/record.json")
        found = (json.loads(file.read_text()) for file in files)
        return {str(record["workspace"]): record for record in found}

    def workspace(self, name: str, files: Mapping[str, str] | None = None) -> Path:
        """A new project directory."""
        directory = self.home / name
        directory.mkdir()
        for path, text in (files or {"README": "hello\n"}).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
        return directory

    def processes(self) -> list[str]:
        """The words of every process that runs on it, but those that podman keeps for its containers."""
        found, home = [], f"HOME={self.home}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if home in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        return [words for words in found if words and not words.startswith(("/usr/bin/conmon ", "/usr/bin/podman "))]

    def inside(self, session: str, command: str, code: int | None = 0) -> str:
        """What a shell command in the agent's container prints."""
        return self.paude("exec", session, "--no-tty", "--", "bash", "-lc", command, code=code).stdout


@dataclass(frozen=True)
class Admin:
    """kubectl with all rights, in one namespace: what a test checks and breaks things with."""

    kubeconfig: str

    def __call__(self, *words: str, namespace: str = "proj-a", check: bool = True) -> str:
        """What kubectl prints."""
        argv = ["kubectl", "--kubeconfig", self.kubeconfig, "-n", namespace, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 or not check, f"{words}: {done.stderr}"
        return done.stdout

    def names(self, *selector: str, namespace: str = "proj-a") -> set[str]:
        """The names of a session's objects of every kind that paude makes."""
        kinds = "statefulset,pod,service,secret,configmap,networkpolicy,persistentvolumeclaim,deployment"
        return set(self("get", kinds, "-o", "name", *selector, namespace=namespace).split())
