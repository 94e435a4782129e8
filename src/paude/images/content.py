"""What an image is made of, as one hash: the same files give the same tag on every laptop.

Pure, but for the memory that spares a warm start from reading every file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Raise it when the way images are built changes without any of its files changing.
FORMAT = 1
TAG_LENGTH = 12
# A file younger than this may still change within the resolution of its time stamp.
_RACY_NS = 2_000_000_000


@dataclass(frozen=True)
class Entry:
    """One file of a build context: its path there, whether it is executable, and what identifies its content."""

    path: str
    executable: bool
    digest: str


def content_hash(entries: Iterable[Entry], facts: Mapping[str, str]) -> str:
    """64 hex digits over the files and the other facts (base, platform, versions), whatever their order."""
    files = sorted((entry.path, entry.executable, entry.digest) for entry in entries)
    whole = json.dumps([FORMAT, files, sorted(facts.items())], separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()


def tag(digest: str) -> str:
    """The tag made of a content hash."""
    return digest[:TAG_LENGTH]


def text_digest(data: bytes) -> str:
    """What identifies content that is at hand."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Memory:
    """Digests of files by path, size, inode and time stamp, kept in one file; a lost or broken one only costs time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = _load(path)
        self._learnt: dict[str, list[object]] = {}

    def digest(self, file: Path) -> str:
        """The digest of `file`, read only if it looks changed. Raises OSError."""
        stat = file.stat()
        seen = [stat.st_size, stat.st_ino, stat.st_mtime_ns]
        known = self._known.get(str(file))
        if known is not None and known[:3] == seen:
            return str(known[3])
        with file.open("rb") as content:
            found = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        if time.time_ns() - stat.st_mtime_ns > _RACY_NS:
            self._learnt[str(file)] = [*seen, found]
        return found

    def save(self) -> None:
        """Write what was learnt; failing to is no error."""
        if not self._learnt:
            return
        # Other images may have written meanwhile; files that are gone are forgotten.
        rows = {**_load(self._path), **self._learnt}
        kept = {name: row for name, row in rows.items() if os.path.exists(name)}
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._path.parent, prefix=".digests-")
            with os.fdopen(handle, "w") as out:
                json.dump(kept, out)
            os.replace(partial, self._path)
        except OSError:
            return


def _load(path: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, list) and len(v) == 4 and isinstance(v[3], str)}
