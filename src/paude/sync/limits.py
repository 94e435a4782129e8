"""What one session may do to the other end and on the way there. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """Limits of one session's sync; the daemon takes them when it connects.

    Entries and bytes are those of a tree, on either side; `file_bytes` is of one file, `depth` of directories within
    each other. `deletes` files may be removed at once without a word of the user's (or half of all, from 25 on).
    `bytes_per_second` is the bandwidth for file content, each way; 0 does not limit it. A start asks before it sends
    more than `ask_above` bytes, and sends the end of a git history that is larger than `history_bytes`.
    """

    entries: int = 2_000_000
    file_bytes: int = 8 * GIB
    tree_bytes: int = 64 * GIB
    depth: int = 100
    deletes: int = 1000
    bytes_per_second: int = 0
    ask_above: int = GIB
    history_bytes: int = 200_000_000

    def to_json(self) -> str:
        """What the daemon reads; entries and the size of a file it has as options of the session."""
        facts = {"deletes": self.deletes, "bytes": self.tree_bytes, "depth": self.depth, "rate": self.bytes_per_second}
        return json.dumps({**facts, "options": self.options})

    @classmethod
    def from_json(cls, text: str) -> Limits:
        """What a session was made with; limits that concern a start only are the usual ones."""
        found = json.loads(text)
        entries, file_bytes = found["options"]
        return cls(entries, file_bytes, found["bytes"], found["depth"], found["deletes"], found["rate"])

    @property
    def options(self) -> list[int]:
        """What a session is made with and keeps: with another value it has to be made anew."""
        return [self.entries, self.file_bytes]
