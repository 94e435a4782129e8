"""How the sync of a session stands, as values: from mutagen's JSON and from the daemon's own report. Pure.

Mutagen's JSON lists at most ten conflicts and problems; the report has all conflicts, and what mutagen does not know:
which paths are held, how changes are noticed, and when the last cycle ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paude.process import clean

HALTED = {
    "halted-on-root-emptied": (
        "one side has become empty, and paude does not empty the other because of that",
        "put the files back, then `paude sync resume`; or `paude sync reset` to merge both sides again",
    ),
    "halted-on-root-deletion": (
        "the workspace of one side was deleted",
        "put it back, then `paude sync resume`; or `paude sync reset` to fill it again from the other side",
    ),
    "halted-on-root-type-change": (
        "the workspace of one side is no directory any more",
        "make it a directory again, then `paude sync resume`",
    ),
}
FENCE_CHOICE = "switch to the same branch on both sides (in the pod: `paude exec -- git switch BRANCH`)"
TAKE_BACK = "`paude attach {name} --take-over` takes it back"
DELETION_CHOICES = "`paude sync reset` brings them back, `paude sync resume --delete` removes them on both sides"
# What an end of the sync says when a limit is met, and what that means to the user.
_LIMITS = (
    ("would be more entries than allowed", "there would be more files and directories than allowed (sync.max_entries)"),
    ("more entries than allowed", "there are more files and directories than allowed (sync.max_entries)"),
    ("maximum file size reached", "a file is larger than allowed (sync.max_file_size)"),
)
_CONNECTING = ("disconnected", "connecting-alpha", "connecting-beta")


@dataclass(frozen=True)
class Conflict:
    """Both sides changed `path`; neither was overwritten. `laptop` and `pod` say what became of it there."""

    path: str
    laptop: str = ""
    pod: str = ""


@dataclass(frozen=True)
class Problem:
    """Something could not be synced: `side` is laptop or pod."""

    side: str
    path: str
    error: str


@dataclass(frozen=True)
class Held:
    """A path of the pod that was not let out: `change` is new, changed or deleted; `why` is guard, ignored or depth."""

    path: str
    change: str
    why: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Brake:
    """`files` of `of` files would be removed at once on `side` (laptop or pod), `example` is one: the user chooses."""

    side: str
    files: int
    of: int
    example: str

    def __str__(self) -> str:
        there = "the pod" if self.side == "laptop" else "the laptop"
        here = "the laptop" if self.side == "laptop" else "the pod"
        return f"{self.files} of {self.of} files were deleted in {there}, and {here} still has them"


@dataclass(frozen=True)
class Flagged:
    """A path that came out of the pod and that tools here run once they are called; `change` is new or changed."""

    path: str
    change: str
    time: str


@dataclass(frozen=True)
class Staging:
    """Files under way to one side: received and expected, in files and bytes."""

    files: int
    expected_files: int
    bytes: int
    expected_bytes: int | None


@dataclass(frozen=True)
class SyncState:
    """How the sync of one session stands. `healthy` means: changes arrive, now, both ways.

    `taken_over` says which laptop the sync belongs to now, when that is another one.
    """

    name: str
    status: str
    paused: bool
    cycles: int
    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]
    problems_unlisted: int
    held: tuple[Held, ...]
    files: int
    bytes: int
    last_success: str
    local_watch: str
    remote_watch: str
    last_error: str
    staging: Staging | None
    fence: str = ""
    brakes: tuple[Brake, ...] = ()
    flagged: tuple[Flagged, ...] = ()
    locked: tuple[str, ...] = ()
    """The ends (laptop, pod) whose git index has a lock that nobody takes away: files travel, branches wait."""
    taken_over: str = ""

    @property
    def halted(self) -> bool:
        """Whether it stopped for safety and waits for the user."""
        return self.status in HALTED

    @property
    def connected(self) -> bool:
        """Whether both ends are there."""
        return not self.paused and self.status not in _CONNECTING

    @property
    def settled(self) -> bool:
        """Whether a cycle has ended well since the connection was made, and nothing is under way."""
        return self.status == "watching" and self.cycles >= 1

    @property
    def healthy(self) -> bool:
        """Whether changes arrive: connected, not halted, nothing in the way."""
        trouble = (self.halted, self.last_error, self.conflicts, self.problems, self.fence, self.brakes)
        return self.connected and not any(trouble)

    @property
    def message(self) -> str:
        """One line for the user; empty when there is nothing to say."""
        return next((text for text in self._messages() if text), "")

    def _messages(self) -> tuple[str, ...]:
        halted, choices = HALTED.get(self.status, ("", ""))
        return (
            f"{self.taken_over}; {TAKE_BACK.format(name=self.name)}" if self.taken_over else "",
            f"sync has stopped: {halted}; {choices}" if halted else "",
            "sync is paused: `paude sync resume`" if self.paused else "",
            ""
            if self.connected
            else f"sync waits for the connection{f': {self.last_error}' if self.last_error else ''}",
            f"sync: {self.last_error}" if self.last_error else "",
            f"sync waits: {self.fence}; {FENCE_CHOICE}" if self.fence else "",
            f"sync has stopped: {self.brakes[0]}; {DELETION_CHOICES}" if self.brakes else "",
            _count(len(self.conflicts), "conflict", "`paude sync conflicts`"),
            _count(len(self.problems) + self.problems_unlisted, "problem", "`paude sync status`"),
            "changes in the pod are found each 10 s only: file watches are used up" if self._polling else "",
        )

    @property
    def _polling(self) -> bool:
        return "polling" in (self.local_watch, self.remote_watch)


def _count(number: int, what: str, where: str) -> str:
    return f"sync: {number} {what}{'s' if number != 1 else ''}, see {where}" if number else ""


def parse_list(text: str) -> tuple[Mapping[str, Any], ...]:
    """The sessions in what `sync list`, or one line of `sync monitor`, printed; none if it cannot be read."""
    try:
        found = json.loads(text)
    except ValueError:
        return ()
    return tuple(one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def parse(one: Mapping[str, Any], report: Mapping[str, Any]) -> SyncState:
    """A session's state from its JSON and its report (empty when there is none yet)."""
    alpha, beta = one.get("alpha") or {}, one.get("beta") or {}
    listed, unlisted = _problems(alpha, beta)
    return SyncState(
        name=str((one.get("labels") or {}).get("paude", "")),
        status=str(one.get("status") or "disconnected"),
        paused=bool(one.get("paused")),
        cycles=int(one.get("successfulCycles") or 0),
        conflicts=_conflicts(one, report),
        problems=listed,
        problems_unlisted=unlisted,
        held=tuple(_held(h) for h in report.get("held") or ()),
        files=int(alpha.get("files") or 0),
        bytes=int(alpha.get("totalFileSize") or 0),
        last_success=str(report.get("settled") or ""),
        local_watch=str(report.get("local") or ""),
        remote_watch=str(report.get("remote") or ""),
        last_error=_words(str(one.get("lastError") or report.get("connect_error") or "")),
        staging=_staging(alpha) or _staging(beta),
        fence=clean(str(report.get("fence") or "")),
        brakes=tuple(_brake(b) for b in report.get("brakes") or ()),
        flagged=tuple(_flagged(f) for f in report.get("flagged") or ()),
        locked=tuple(str(end) for end in report.get("locked") or ()),
        taken_over=clean(str(report.get("taken_over") or "")),
    )


def _words(error: str) -> str:
    """An error of mutagen's on one line, in the user's words where it has others for them."""
    side = {"alpha": "on the laptop ", "beta": "in the pod "}.get(error.partition(" ")[0], "")
    return next((side + words for known, words in _LIMITS if known in error), clean(error))


def _brake(b: Mapping[str, Any]) -> Brake:
    return Brake(str(b.get("side", "")), int(b.get("files", 0)), int(b.get("of", 0)), str(b.get("example", "")))


def _flagged(f: Mapping[str, Any]) -> Flagged:
    return Flagged(str(f.get("path", "")), str(f.get("change", "")), str(f.get("time", "")))


def _conflicts(one: Mapping[str, Any], report: Mapping[str, Any]) -> tuple[Conflict, ...]:
    listed = [_conflict(c) for c in one.get("conflicts") or ()]
    if not one.get("excludedConflicts"):
        return tuple(listed)
    known = {c.path: c for c in listed}
    return tuple(known.get(p, Conflict(p)) for p in sorted({*known, *(report.get("conflicts") or ())}))


def _conflict(c: Mapping[str, Any]) -> Conflict:
    return Conflict(str(c.get("root") or ""), _change(c.get("alphaChanges")), _change(c.get("betaChanges")))


def _change(changes: Any) -> str:
    """What one side did: created, changed, deleted, or several things."""
    if not changes:
        return ""
    if len(changes) > 1:
        return f"{len(changes)} changes"
    old, new = changes[0].get("old"), changes[0].get("new")
    return "deleted" if not new else ("changed" if old else "created")


def _problems(alpha: Mapping[str, Any], beta: Mapping[str, Any]) -> tuple[tuple[Problem, ...], int]:
    found: list[Problem] = []
    unlisted = 0
    for side, end in (("laptop", alpha), ("pod", beta)):
        for kind in ("scanProblems", "transitionProblems"):
            unlisted += int(end.get(f"excluded{kind[0].upper()}{kind[1:]}") or 0)
            found += [
                Problem(side, str(p.get("path", "")), _words(str(p.get("error", "")))) for p in end.get(kind) or ()
            ]
    return tuple(found), unlisted


def _held(h: Mapping[str, Any]) -> Held:
    return Held(str(h.get("path", "")), str(h.get("change", "")), str(h.get("why", "")))


def _staging(end: Mapping[str, Any]) -> Staging | None:
    progress = end.get("stagingProgress")
    if not progress:
        return None
    return Staging(
        int(progress.get("receivedFiles") or 0),
        int(progress.get("expectedFiles") or 0),
        int(progress.get("totalReceivedSize") or 0),
        None,
    )
