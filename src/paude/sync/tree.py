"""Walking a workspace: what of it travels, by the rules of a selection. Runs in worker threads; follows no link.

An agent writes there at the same time, by the sync: a directory may be a link in the moment in which it is opened. So
everything is opened by its name in the directory that it was found in, which is held open meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Protocol

TEMPORARY = ".mutagen-temporary-"
_LONGEST_TARGET = 247
# In a deeper tree, which an agent may have made, the directories between are opened again on the way back.
_HELD_OPEN = 64
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Kind(Enum):
    """What can travel."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"


@dataclass(frozen=True)
class Found:
    """One entry: its path relative to the root, and what it was when its directory was listed.

    What it holds can be asked for until the next one is taken from the walk, and raises OSError where it is something
    else by now.
    """

    path: str
    kind: Kind
    place: _Place

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory itself, not a link to one."""
        return self.kind is Kind.DIRECTORY

    def open(self) -> BufferedReader:
        """The content of a file: never through a link that took its place, never waiting for the writer of a pipe."""
        return os.fdopen(os.open(self.name, _FILE, dir_fd=self.place.handle), "rb")

    def target(self) -> str:
        """Where a link leads, by its words."""
        return os.readlink(self.name, dir_fd=self.place.handle)

    def size(self) -> int:
        """The bytes of a file or a link; 0 for a directory, and for what has gone."""
        try:
            found = os.stat(self.name, dir_fd=self.place.handle, follow_symlinks=False)
        except OSError:
            return 0
        return 0 if stat.S_ISDIR(found.st_mode) else found.st_size


class Rules(Protocol):
    """What tells which paths do not travel."""

    def ignored(self, path: str, *, directory: bool) -> bool:
        """Whether `path` itself is ignored; what lies above it is asked first."""
        ...


def entries(root: Path, rules: Rules, unreadable: list[str] | None = None) -> Iterator[Found]:
    """All that travels below `root`, directories before what is in them, each directory in the order of its names.

    What cannot be listed is added to `unreadable` and left out.
    """
    walk = _Walk(rules, [] if unreadable is None else unreadable)
    try:
        walk.enter("", str(root), None)
        while walk.places:
            found = next(walk.places[-1].found, None)
            if found is None:
                walk.leave()
                continue
            yield found
            if found.is_directory:
                walk.enter(found.path, found.name, walk.places[-1].handle)
    finally:
        for place in walk.places:
            place.close()


class _Place:
    """A directory that the walk is in: its handle while it is held open, and those of its entries still to come."""

    def __init__(self, path: str, handle: int, rules: Rules) -> None:
        """Raises OSError when it cannot be listed."""
        self.path, self.handle = path, handle
        with os.scandir(handle) as listing:
            names = sorted((one.name, kind) for one in listing if (kind := _kind(one)) is not None)
        self.found = self._travelling(names, rules)

    def _travelling(self, names: list[tuple[str, Kind]], rules: Rules) -> Iterator[Found]:
        prefix = f"{self.path}/" if self.path else ""
        for name, kind in names:
            if not rules.ignored(prefix + name, directory=kind is Kind.DIRECTORY):
                yield Found(prefix + name, kind, self)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1


class _Walk:
    """The directories from the root to where the walk is; the last is open, and the first ones are."""

    def __init__(self, rules: Rules, unreadable: list[str]) -> None:
        self.places: list[_Place] = []
        self._rules, self._unreadable = rules, unreadable

    def enter(self, path: str, name: str, above: int | None) -> None:
        try:
            handle = _opened(name, above)
        except OSError:
            self._unreadable.append(path or ".")
            return
        try:
            place = _Place(path, handle, self._rules)
        except OSError:
            os.close(handle)
            self._unreadable.append(path or ".")
            return
        if len(self.places) > _HELD_OPEN:
            self.places[-1].close()
        self.places.append(place)

    def leave(self) -> None:
        self.places.pop().close()
        while len(self.places) > _HELD_OPEN:
            last, held = self.places[-1], self.places[_HELD_OPEN - 1]
            try:
                last.handle = _below(held.handle, last.path.removeprefix(f"{held.path}/"))
            except OSError:
                self._unreadable.append(self.places.pop().path)
            else:
                return


def _opened(name: str, above: int | None) -> int:
    """A directory by its name in another one, which is no link; or the root, which may be one."""
    return os.open(name, _DIRECTORY if above is None else _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)


def _below(handle: int, path: str) -> int:
    name, _, rest = path.partition("/")
    below = _opened(name, handle)
    while rest:
        name, _, rest = rest.partition("/")
        above = below
        try:
            below = _opened(name, above)
        finally:
            os.close(above)
    return below


def _kind(entry: os.DirEntry[str]) -> Kind | None:
    """Files, directories and links whose names are Unicode; sockets, devices and half-written files stay."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return None
    if entry.name.startswith(TEMPORARY):
        return None
    if entry.is_symlink():
        return Kind.LINK
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    return Kind.FILE if entry.is_file(follow_symlinks=False) else None


def stays(found: Found) -> bool:
    """Whether it is no link, or one that stays inside."""
    if found.kind is not Kind.LINK:
        return True
    try:
        return stays_inside(found.path, found.target())
    except OSError:
        return False


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
