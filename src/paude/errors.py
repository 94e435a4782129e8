"""The one tree of errors: each says what failed, why, what to do next, and with which exit code paude ends.

Every package raises these; exceptions of libraries are mapped to them where they arise. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """Something that could not be undone, and the command that removes it."""

    kind: str
    name: str
    command: str


class PaudeError(Exception):
    """What failed (`what`), why (`why`), what to do next (`hint`); `exit_code` is the process's."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        self.leftovers: tuple[Leftover, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class UsageError(PaudeError):
    """The words of the command line do not make sense."""

    exit_code = 2


class SettingsError(PaudeError):
    """A setting, a settings file or a kubeconfig cannot be used."""

    exit_code = 2


class EgressOpen(PaudeError):
    """The fence found a way out: no agent may run."""

    exit_code = 3


class NotFound(PaudeError):
    """The session, or an object of it, does not exist."""

    exit_code = 4


class SessionGone(NotFound):
    """The session's pod existed and is gone."""


class NameTaken(PaudeError):
    """The name belongs to another session or to somebody else's objects."""

    exit_code = 5


class Forbidden(PaudeError):
    """Rights are missing; `why` names the verb and the resource."""

    exit_code = 6


class QuotaExceeded(Forbidden):
    """A ResourceQuota or a LimitRange refused an object; `fits` are settings with which it would not, if known."""

    def __init__(self, what: str, *, why: str = "", hint: str = "", fits: Mapping[str, str] | None = None) -> None:
        super().__init__(what, why=why, hint=hint)
        self.fits = dict(fits or {})


class AdmissionDenied(Forbidden):
    """Pod Security, an SCC or an admission policy refused an object."""


class LoginExpired(PaudeError):
    """The cluster or the registry does not accept the credentials (any more)."""

    exit_code = 7


class ImageError(PaudeError):
    """An image cannot be built, pushed or pulled."""

    exit_code = 8


class WorkWouldBeLost(PaudeError):
    """Conflicts, held paths or unfetched commits exist; nothing was deleted."""

    exit_code = 9


class AgentEnded(PaudeError):
    """The coding agent ended by itself."""

    exit_code = 10


class AgentParked(AgentEnded):
    """The gate took the agent's leave away; `why` is its reason."""


class PodFailed(PaudeError):
    """The pod cannot run; `why` is the cluster's own reason."""


class CommandFailed(PaudeError):
    """A child process failed."""

    def __init__(self, argv: Sequence[str], returncode: int, stderr: str, *, hint: str = "") -> None:
        super().__init__(f"`{' '.join(argv[:3])}` ended with {returncode}", why=stderr.strip()[-2000:], hint=hint)
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr


class TimedOut(PaudeError):
    """The overall limit passed; `why` says what was being waited for."""

    exit_code = 124


class Interrupted(PaudeError):
    """The user interrupted the command."""

    exit_code = 130


class ConnectionLost(PaudeError):
    """The way to the cluster or the pod is down; trying again may help."""

    exit_code = 255


class StepFailed(PaudeError):
    """A step of a plan failed; `cause` is the reason, `leftovers` is what could not be taken back."""

    def __init__(self, step: str, cause: BaseException, leftovers: Iterable[Leftover] = ()) -> None:
        foreign = PaudeError(f"{step} failed", why=f"{type(cause).__name__}: {cause}")
        told = cause if isinstance(cause, PaudeError) else foreign
        super().__init__(told.what, why=told.why, hint=told.hint)
        self.step = step
        self.cause = cause
        self.leftovers = tuple(leftovers)
        self.exit_code = told.exit_code
