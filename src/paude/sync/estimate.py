"""What a start would send, and how long that takes at the speed of the last one on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from paude.errors import UsageError
from paude.settings import Paths
from paude.sync import history, selection
from paude.sync.limits import Limits
from paude.sync.selection import Outgoing, Size

# Until a start was measured: a slow line at home, and source text that shrinks to a third on the way.
BYTES_PER_SECOND = 5e6


@dataclass(frozen=True)
class Estimate:
    """Files and their bytes, bytes of git history (`shallow`: only the end of it), and seconds for all of it."""

    size: Size
    history_bytes: int
    shallow: bool
    seconds: float

    @property
    def bytes(self) -> int:
        """All that would be sent."""
        return self.size.bytes + self.history_bytes

    def __str__(self) -> str:
        past = f" and {megabytes(self.history_bytes)} of git history" if self.history_bytes else ""
        ended = f" (its last {history.SHALLOW_DEPTH} commits, for all of it is large)" if self.shallow else ""
        return f"{self.size.files} files, {megabytes(self.size.bytes)}{past}{ended}: about {self.seconds:.0f} s"


def megabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:,.1f} MB"


async def estimate(paths: Paths, workspace: Path, chosen: Outgoing, limits: Limits) -> Estimate:
    """Look at what would be sent. Nothing is packed, and files are not read."""
    size = (await selection.look(workspace, chosen)).size
    past = 0 if chosen.only else await history.size(workspace)
    shallow = past > limits.history_bytes
    sent = min(past, limits.history_bytes)
    return Estimate(size, sent, shallow, (size.bytes + sent) / speed(paths))


def check(found: Estimate, limits: Limits, agreed_bytes: int | None) -> None:
    """Raises UsageError when more would be sent than may go without a word; None agrees to anything."""
    if agreed_bytes is None or found.bytes <= max(limits.ask_above, agreed_bytes):
        return
    raise UsageError(
        "that is much to send",
        why=f"{found}; asked above {megabytes(limits.ask_above)} (sync.ask_above)",
        hint="agree with --yes, send a part with --only PATH, or keep more at home with .paudeignore",
    )


def speed(paths: Paths) -> float:
    """Bytes per second of the last first content from this machine."""
    try:
        return max(1.0, float(json.loads(_file(paths).read_text())["bytes_per_second"]))
    except (OSError, ValueError, KeyError, TypeError):
        return BYTES_PER_SECOND


def remember(paths: Paths, sent: int, seconds: float) -> None:
    """Note a speed; what is over in no time says nothing of the line."""
    if sent < 1e6 or seconds <= 0:
        return
    fresh = _file(paths).with_suffix(".new")
    fresh.write_text(json.dumps({"bytes_per_second": sent / seconds}))
    fresh.replace(_file(paths))


def _file(paths: Paths) -> Path:
    return paths.state / "speed.json"
