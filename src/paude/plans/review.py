"""What the guard held: shown as differences, and brought over one by one, exactly as it was shown."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from paude.errors import PaudeError, UsageError
from paude.gate.workspace import Version, Workspace
from paude.plans.reach import gate_reached
from paude.sessions.records import Record
from paude.settings import Paths
from paude.sync import aside, session
from paude.sync.guard import fold, path_is_held
from paude.sync.shown import difference, visible

MOST = 500
# Git would obey these whatever their content; native code for another machine is of no use here.
_NEVER = {".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "node_modules", ".venv"}


@dataclass(frozen=True)
class Shown:
    """One held path: `change` is new, changed or deleted, `digest` stands for exactly this version."""

    path: str
    change: str
    executable: bool
    digest: str
    text: str


async def review(paths: Paths, record: Record) -> AsyncGenerator[Shown, None]:
    """Each held path whose version in the pod is not the laptop's; remembers what was shown."""
    shown: dict[str, str] = {}
    async with gate_reached(paths, record.name) as connection:
        pod = Workspace(connection)
        for path in await _held(paths, record, pod):
            one = await _look(record, pod, path)
            if one is not None:
                shown[path] = one.digest
                yield one
    await anyio.to_thread.run_sync(_remember, _file(paths, record), shown)


async def accept(paths: Paths, record: Record, path: str) -> str:
    """Bring one held path over; returns where the laptop's own version is now, empty when it had none.

    Raises UsageError for what was not shown, or not like this; nothing changes then.
    """
    seen = await anyio.to_thread.run_sync(_remembered, _file(paths, record))
    async with gate_reached(paths, record.name) as connection:
        version = await Workspace(connection).read(path)
    if path not in seen:
        raise UsageError(f"{visible(path)} has not been shown", hint="`paude review` shows what is held")
    if _digest(version) != seen[path]:
        raise UsageError(f"{visible(path)} has changed since it was shown", hint="`paude review` shows it again")
    return await anyio.to_thread.run_sync(_take, paths, record, path, version)


async def _held(paths: Paths, record: Record, pod: Workspace) -> list[str]:
    """By the list of names, and by what the sync says; a name that both ends ignore is known to the list only."""
    told = {one.path for one in (await session.flush(paths, record.name)).held}
    found = {path for path in told if not _never(path)}
    async with aclosing(pod.tree()) as entries:
        async for entry in entries:
            inside = any(entry.path.startswith(f"{one}/") for one in told)
            if (inside or path_is_held(entry.path)) and entry.kind != "directory" and not _never(entry.path):
                found.add(entry.path)
            if len(found) >= MOST:
                break
    return sorted(found)


def _never(path: str) -> bool:
    return any(fold(part) in _NEVER or fold(part).startswith("git~") for part in path.split("/"))


async def _look(record: Record, pod: Workspace, path: str) -> Shown | None:
    version = await pod.read(path)
    here = await anyio.to_thread.run_sync(_local, Path(record.workspace) / path)
    entry = version.entry
    if entry.kind == "directory" or _same(here, version):
        return None
    change = "deleted" if entry.kind == "absent" else ("changed" if here is not None else "new")
    return Shown(path, change, entry.executable, _digest(version), _text(path, here, version))


def _local(file: Path) -> bytes | None:
    """A link counts as its target's name, as it does in `_content`."""
    try:
        return b"-> " + os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
    except OSError:
        return None


def _content(version: Version) -> bytes | None:
    return b"-> " + os.fsencode(version.entry.target) if version.entry.kind == "link" else version.content


def _same(here: bytes | None, version: Version) -> bool:
    return here == _content(version) and not version.entry.error and version.entry.kind != "other"


def _text(path: str, here: bytes | None, version: Version) -> str:
    if version.entry.error or version.entry.kind == "other":
        return f"{version.entry.kind}: {version.entry.error or 'no file'}"
    return difference(path, here, _content(version))


def _digest(version: Version) -> str:
    facts = f"{version.entry.kind} {version.entry.executable} {version.entry.error}\0".encode()
    return hashlib.sha256(facts + (_content(version) or b"")).hexdigest()


def _take(paths: Paths, record: Record, path: str, version: Version) -> str:
    workspace, entry = Path(record.workspace), version.entry
    if entry.kind not in ("file", "link", "absent") or entry.error:
        raise PaudeError(f"{visible(path)} cannot be brought over", why=entry.error or f"it is a {entry.kind}")
    kept = aside.place(paths, record.name, path)
    replaced = aside.move(workspace, path, kept)
    if entry.kind == "link":
        aside.link(workspace, path, entry.target)
    elif entry.kind == "file":
        assert version.content is not None
        aside.write(workspace, path, version.content, executable=entry.executable)
    return str(kept) if replaced else ""


def _file(paths: Paths, record: Record) -> Path:
    return paths.session(record.name) / "reviewed.json"


def _remember(file: Path, shown: dict[str, str]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(shown))
    fresh.replace(file)


def _remembered(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {str(path): str(digest) for path, digest in found.items()} if isinstance(found, dict) else {}
