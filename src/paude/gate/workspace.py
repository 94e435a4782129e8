"""The workspace in the pod, looked at through the gate: what is read there is the agent's, and data.

Paths travel percent-encoded, so that any name is one word. The gate follows no link and leaves git's directories out.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from paude.errors import PaudeError
from paude.process import clean
from paude.ssh.connection import Connection
from paude.ssh.result import Result

KINDS = ("file", "directory", "link", "other", "absent")


@dataclass(frozen=True)
class Entry:
    """What lies at a path: `kind` is one of KINDS, `hash` is SHA-256 or empty, `size` is in bytes."""

    path: str
    kind: str
    executable: bool = False
    size: int = 0
    hash: str = ""
    target: str = ""
    error: str = ""


@dataclass(frozen=True)
class Version:
    """An entry with its content; None when it is no file, or larger than the gate shows (8 MiB)."""

    entry: Entry
    content: bytes | None


class Workspace:
    """The workspace at the other end of a connection to the gate."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def tree(self, path: str = "", *, hashes: bool = False) -> AsyncGenerator[Entry, None]:
        """All entries below `path`, itself included, in the order of their names. Raises PaudeError."""
        words = ("hash-tree" if hashes else "list-tree", *((_word(path),) if path else ()))
        async with self._connection.stream(" ".join(words)) as lines:
            async for line in lines:
                yield _entry(line.encode())

    async def read(self, path: str) -> Version:
        """What lies at `path`. Raises PaudeError when a link is on the way, or it cannot be read."""
        head, _, content = (await self._ask("read", path)).stdout.partition(b"\n")
        entry = _entry(head)
        return Version(entry, content if entry.kind == "file" and not entry.error else None)

    async def set_aside(self, path: str) -> str:
        """Move what lies at `path` out of the workspace; returns where the volume keeps it."""
        return clean((await self._ask("set-aside", path)).text).strip()

    async def rename(self, path: str, name: str) -> None:
        """Give what lies at `path` another name in its directory. Raises PaudeError when that is taken."""
        await self._ask("rename", path, name)

    async def _ask(self, verb: str, *paths: str) -> Result:
        result = await self._connection.run(" ".join((verb, *map(_word, paths))))
        if result.exit_status:
            words = clean(result.stderr.decode("utf-8", "replace")).strip()
            raise PaudeError(f"the gate cannot {verb} {paths[0]!r}", why=words)
        return result


def _word(path: str) -> str:
    return quote(os.fsencode(path), safe="/")


def _entry(line: bytes) -> Entry:
    """Raises PaudeError for what is no entry."""
    try:
        found = json.loads(line)
        return _of(found)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise PaudeError("the gate's answer is not understood", why=repr(line[:200])) from exc


def _of(found: dict[str, Any]) -> Entry:
    kind = found["k"]
    if kind not in KINDS:
        raise ValueError(kind)
    return Entry(
        path=os.fsdecode(unquote_to_bytes(found["p"])),
        kind=kind,
        executable=bool(found.get("x")),
        size=int(found.get("s", 0)),
        hash=str(found.get("h", "")),
        target=os.fsdecode(unquote_to_bytes(found.get("t", ""))),
        error=clean(str(found.get("e", ""))),
    )
