"""Moving the developer's branch forward to what the agent committed: by ref and index only, and only when it is safe.

The files themselves come by sync. Whatever stands in the way leaves the commits where they are, under `refs/paude/`,
and is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path

import anyio

from paude.errors import CommandFailed
from paude.sync.git import alone, answer, git, git_path, is_repository
from paude.sync.guard import path_is_held
from paude.sync.history import prefix

_IN_PROGRESS = {
    "MERGE_HEAD": "a merge is in progress",
    "CHERRY_PICK_HEAD": "a cherry-pick is in progress",
    "REVERT_HEAD": "a revert is in progress",
    "BISECT_LOG": "a bisect is in progress",
    "rebase-merge": "a rebase is in progress",
    "rebase-apply": "a rebase is in progress",
    "sequencer": "a sequence of picks is in progress",
    "index.lock": "another git holds the index",
}
_SUBMODULE = "160000"
_LINK = "120000"


@dataclass(frozen=True)
class Advance:
    """What became of a branch: `moved` from `old` to `new`, or why not. Nothing to do has no reason."""

    branch: str
    moved: bool
    why: str = ""
    old: str = ""
    new: str = ""


async def awaits(workspace: Path, name: str) -> bool:
    """Whether the agent's branch holds commits that the checked-out branch does not; says nothing of whether it may."""
    branch, old, new = await _ends(workspace, name)
    return bool(branch and new and old != new and not (old and await _is_ancestor(workspace, new, old)))


async def advance(workspace: Path, name: str, *, missing: Collection[str] = ()) -> Advance:
    """Move the checked-out branch forward to `refs/paude/NAME/BRANCH`; the sync must have been flushed.

    Index and ref are all that changes; no hook runs, no filter, and no file is written. `missing` are paths that the
    sync did not bring. Nothing changes when something is in the way, nor when git fails half way.
    """
    if not await is_repository(workspace):
        return Advance("", moved=False)
    async with alone(workspace):
        branch, old, new = await _ends(workspace, name)
        if not branch:
            return Advance("", moved=False, why="no branch is checked out")
        if not new or old == new or (old and await _is_ancestor(workspace, new, old)):
            return Advance(branch, moved=False)
        async for why in _obstacles(workspace, old, new, missing):
            return Advance(branch, moved=False, why=why, old=old, new=new)
        with anyio.CancelScope(shield=True):
            await _move(workspace, f"refs/heads/{branch}", f"paude: what the agent of {name} committed", old, new)
        return Advance(branch, moved=True, old=old, new=new)


async def _ends(workspace: Path, name: str) -> tuple[str, str, str]:
    """The branch that is checked out, where it is, and where the agent's is; each may be empty."""
    branch = await answer(workspace, "symbolic-ref", "-q", "--short", "HEAD")
    if not branch:
        return "", "", ""
    old = await answer(workspace, "rev-parse", "--verify", "-q", f"refs/heads/{branch}^{{commit}}")
    return branch, old, await answer(workspace, "rev-parse", "--verify", "-q", f"{prefix(name)}/{branch}^{{commit}}")


async def _move(workspace: Path, ref: str, words: str, old: str, new: str) -> None:
    """Ref and index, or neither: git may take the index between two of our looks at it."""
    await git(workspace, "update-ref", "-m", words, ref, new, old)
    try:
        await git(workspace, "reset", "-q", "--mixed")
    except CommandFailed:
        await git(workspace, "update-ref", "-m", "paude: the index could not follow", ref, old, new)
        raise


async def _obstacles(workspace: Path, old: str, new: str, missing: Collection[str]) -> AsyncIterator[str]:
    """What stands in the way, the cheapest questions first."""
    if not old:
        yield "the branch has no commit yet"
    for file, why in _IN_PROGRESS.items():
        if (await git_path(workspace, file)).exists():
            yield why
    if not await _is_ancestor(workspace, old, new):
        yield "the branch went on here too: merge or rebase"
    if (await git(workspace, "diff-index", "--cached", "--quiet", "HEAD", "--", check=False)).returncode:
        yield "something is staged here"
    if await _has_marked_entries(workspace):
        yield "the index hides files (sparse checkout, skip-worktree or assume-unchanged)"
    async for why in _obstacles_in_range(workspace, old, new, missing):
        yield why


async def _is_ancestor(workspace: Path, old: str, new: str) -> bool:
    return (await git(workspace, "merge-base", "--is-ancestor", old, new, check=False)).returncode == 0


async def _has_marked_entries(workspace: Path) -> bool:
    listing = (await git(workspace, "ls-files", "-v", "-z")).stdout
    return any(entry[:1] not in (b"H", b"M") for entry in listing.split(b"\0") if entry)


async def _obstacles_in_range(workspace: Path, old: str, new: str, missing: Collection[str]) -> AsyncIterator[str]:
    """Each commit of the range counts: what one adds and the next removes has been in the tree."""
    touched: set[str] = set()
    log = ("log", "--format=", "--raw", "-z", "-m", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv")
    raw = (await git(workspace, *log, f"{old}..{new}")).stdout.decode("utf-8", "surrogateescape")
    fields = [field.lstrip("\n") for field in raw.split("\0") if field.strip("\n")]
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        touched.add(path)
        mode, blob = facts.split(" ")[1], facts.split(" ")[3]
        if path_is_held(path):
            yield f"it changes a path that paude holds: {path!r}"
        if any(path == one or path.startswith(f"{one}/") for one in missing):
            yield f"it changes a path that the sync did not bring: {path!r}"
        if mode == _SUBMODULE:
            yield f"it changes a submodule: {path!r}"
        if mode == _LINK and path_is_held(await answer(workspace, "cat-file", "blob", blob)):
            yield f"it adds a link to a path that paude holds: {path!r}"
    if await _has_filters(workspace, touched):
        yield "a filter (such as LFS) applies to what it changes"


async def _has_filters(workspace: Path, touched: set[str]) -> bool:
    """Whether git would run a program over the content of one of the files."""
    names = [path for path in touched if "\n" not in path]
    if len(names) != len(touched):
        return True
    for start in range(0, len(names), 500):
        answers = await git(workspace, "check-attr", "-z", "filter", "--", *names[start : start + 500])
        values = answers.stdout.split(b"\0")[2::3]
        if any(value not in (b"unspecified", b"unset") for value in values):
            return True
    return False
