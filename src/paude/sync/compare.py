"""Whether both ends hold the same: trees as facts and hashes, and how two of them differ."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paude.sync.patterns import Matcher
from paude.sync.tree import TEMPORARY, Found, Kind, entries, stays_inside


@dataclass(frozen=True)
class Facts:
    """What is compared of an entry: `kind` is file, directory or link; `hash` is SHA-256 of a file."""

    kind: str
    executable: bool = False
    hash: str = ""
    target: str = ""


@dataclass(frozen=True)
class Difference:
    """One path that is not the same on both sides; `why` says why that is as it should be, if it is."""

    path: str
    what: str
    why: str = ""


def local_tree(root: Path, matcher: Matcher) -> dict[str, Facts]:
    """What travels of a workspace. Reads every file; for a worker thread."""
    return {found.path: facts for found in entries(root, matcher) if (facts := _facts(found)) is not None}


def _facts(found: Found) -> Facts | None:
    try:
        if found.kind is Kind.LINK:
            target = found.target()
            return Facts("link", target=target) if stays_inside(found.path, target) else None
        if found.is_directory:
            return Facts("directory")
        return _file(found)
    except OSError:
        return None  # gone meanwhile, or not to be read: the other side shows it


def _file(found: Found) -> Facts:
    with found.open() as file:
        executable = bool(os.fstat(file.fileno()).st_mode & 0o111)
        return Facts("file", executable, hashlib.file_digest(file, "sha256").hexdigest())


def travelling(listing: Iterable[tuple[str, Facts]], matcher: Matcher) -> Iterator[tuple[str, Facts]]:
    """What of the other end's listing takes part in the sync; a directory comes before what is in it."""
    below = "\0"
    for path, facts in listing:
        if path.startswith(below):
            continue
        directory = facts.kind == "directory"
        if not _can_travel(path, facts) or matcher.ignored(path, directory=directory):
            below = path + "/" if directory else below
            continue
        yield path, facts


def _can_travel(path: str, facts: Facts) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    if facts.kind == "link":
        return stays_inside(path, facts.target)
    return facts.kind in ("file", "directory") and not path.rpartition("/")[2].startswith(TEMPORARY)


def differences(laptop: Mapping[str, Facts], pod: Mapping[str, Facts]) -> tuple[Difference, ...]:
    """How the pod's tree differs from the laptop's, by path."""
    paths = sorted(path for path in {*laptop, *pod} if laptop.get(path) != pod.get(path))
    return tuple(Difference(path, _what(laptop.get(path), pod.get(path))) for path in paths)


def _what(laptop: Facts | None, pod: Facts | None) -> str:
    if pod is None:
        return "only on the laptop"
    if laptop is None:
        return "only in the pod"
    if laptop.kind != pod.kind:
        return f"a {laptop.kind} on the laptop, a {pod.kind} in the pod"
    if laptop.hash != pod.hash:
        return "other content"
    return "other target" if laptop.target != pod.target else "executable on one side only"
