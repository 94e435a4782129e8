"""Walking a workspace: what of it travels, by the rules of a selection. Runs in worker threads; follows no link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paude.sync.patterns import Matcher

TEMPORARY = ".mutagen-temporary-"
_LONGEST_TARGET = 247


@dataclass(frozen=True)
class Found:
    """One entry: its path relative to the root, and where it lies."""

    path: str
    entry: os.DirEntry[str]

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory itself, not a link to one."""
        return self.entry.is_dir(follow_symlinks=False)


def entries(root: Path, matcher: Matcher, unreadable: list[str] | None = None) -> Iterator[Found]:
    """All that travels below `root`, directories before what is in them, each directory in the order of its names.

    What cannot be listed is added to `unreadable` and left out.
    """
    stack = [_listed(root, "", matcher, unreadable)]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        yield found
        if found.is_directory:
            stack.append(_listed(Path(found.entry.path), found.path + "/", matcher, unreadable))


def _listed(directory: Path, prefix: str, matcher: Matcher, unreadable: list[str] | None) -> Iterator[Found]:
    try:
        with os.scandir(directory) as listing:
            names = sorted(listing, key=lambda e: e.name)
    except OSError:
        if unreadable is not None:
            unreadable.append(prefix.rstrip("/") or ".")
        return
    for entry in names:
        if not _can_travel(entry):
            continue
        if not matcher.ignored(prefix + entry.name, directory=entry.is_dir(follow_symlinks=False)):
            yield Found(prefix + entry.name, entry)


def _can_travel(entry: os.DirEntry[str]) -> bool:
    """Files, directories and links whose names are Unicode; sockets, devices and half-written files stay."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return False
    kind = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()
    return kind and not entry.name.startswith(TEMPORARY)


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` to `target` leads to a place in the tree, by its words alone (mutagen's rule too)."""
    if not 0 < len(target) <= _LONGEST_TARGET or target.startswith("/") or "\\" in target or ":" in target:
        return False
    depth = len(PurePosixPath(path).parts) - 1
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return False
    return True
