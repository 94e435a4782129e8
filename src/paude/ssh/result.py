"""How a command in the pod ended, by whatever it was run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """How a remote command ended and what it printed (at most 16 MiB each); killed by a signal is 128 + its number."""

    exit_status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """The standard output as text."""
        return self.stdout.decode("utf-8", "replace")
