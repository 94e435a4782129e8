"""Whether a silent stream is dead: judged by the progress of bytes, never by a missing answer alone. Pure.

A kubelet answers no ping while the program in the pod does not read, so a ping that stays unanswered proves
nothing as long as bytes move, or as long as the peer's kernel keeps its window closed but acknowledges.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What to do now."""

    WAIT = "wait"
    PING = "ping"
    DEAD = "dead"


@dataclass(frozen=True)
class Limits:
    """Seconds: silence before a ping, the least wait for its answer, a queue without progress, a closed window."""

    idle: float = 15.0
    answer: float = 3.0
    stall: float = 10.0
    closed_window: float = 600.0


@dataclass(frozen=True)
class Sample:
    """One look at the socket.

    `handed`: all bytes ever given to it; `unsent`: those not yet acknowledged; `unanswered`: the kernel's count of
    retransmissions and window probes in a row without any answer, None where the system does not tell.
    """

    handed: int
    unsent: int
    unanswered: int | None
    reader_paused: bool


class Liveness:
    """Remembers what moved and when; `judge` is to be called again within `pause` seconds."""

    def __init__(self, now: float, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._received = now
        self._moved = now
        self._last = Sample(0, 0, None, False)
        self._pinged: float | None = None
        self._round_trip = 0.0
        self._relax()

    def received(self, now: float) -> None:
        """Bytes came in."""
        self._received = now
        if self._pinged is not None:
            self._round_trip = now - self._pinged
            self._pinged = None
        self._relax()

    def suspect(self, now: float, allowance: float) -> None:
        """The way may have changed (sleep, route): ask now, and allow `allowance` seconds for any progress."""
        self._answer = self._stall = allowance
        self._received = self._moved = now
        self._idle = 0.0
        self._pinged = None

    def judge(self, now: float, sample: Sample) -> Verdict:
        """What the stream's owner should do."""
        if sample.unsent < self._last.unsent + sample.handed - self._last.handed or not sample.unsent:
            self._moved = now
        self._last = sample
        if sample.reader_paused:
            self._received = now
            self._pinged = None
            return Verdict.WAIT
        if self._stalled(now) or self._unanswered(now):
            return Verdict.DEAD
        if self._pinged is None and not sample.unsent and now - self._received >= self._idle:
            self._pinged = now
            return Verdict.PING
        return Verdict.WAIT

    @property
    def pause(self) -> float:
        """Seconds until `judge` should be called again."""
        return self._answer / 4 if self._pinged is not None or self._idle == 0 else self._answer

    def _relax(self) -> None:
        self._idle, self._answer, self._stall = self._limits.idle, self._limits.answer, self._limits.stall

    def _stalled(self, now: float) -> bool:
        limit = self._limits.closed_window if self._peer_acknowledges() else self._stall
        return self._last.unsent > 0 and now - max(self._moved, self._received) > limit

    def _unanswered(self, now: float) -> bool:
        if self._pinged is None or now - self._pinged <= max(self._answer, 4 * self._round_trip):
            return False
        return not self._last.unsent or (self._last.unanswered or 0) >= 2

    def _peer_acknowledges(self) -> bool:
        return self._last.unanswered is not None and self._last.unanswered < 2
