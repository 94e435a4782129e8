"""Versions that lost are moved aside, chosen ones are written: all at once, and through no link."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from paude.errors import PaudeError
from paude.settings import Paths
from paude.sync.tree import TEMPORARY, stays_inside


def place(paths: Paths, name: str, path: str) -> Path:
    """Where a version of `path` that lost is kept; made up to its directory. It outlives the session."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S.%f")
    kept = paths.state / "aside" / name / moment / Path(path).name
    kept.parent.mkdir(mode=0o700, parents=True)
    return kept


def move(workspace: Path, path: str, kept: Path) -> bool:
    """Move what lies at `path` of the workspace to `kept`; False when nothing does. Links stay links.

    Raises PaudeError when a link is on the way there.
    """
    source = workspace / path
    if any(above.is_symlink() for above in list(source.parents)[: len(Path(path).parts) - 1]):
        raise PaudeError("this is no path in the workspace", why=f"a link is on the way to {path!r}")
    if not os.path.lexists(source):
        return False
    shutil.move(source, kept)
    return True


def write(workspace: Path, path: str, content: bytes, *, executable: bool) -> None:
    """Put a file at `path` of the workspace, all at once. Raises PaudeError when a link is on the way there."""
    with _parent(workspace, path) as (directory, name):
        fresh = f"{TEMPORARY}paude-{secrets.token_hex(8)}"  # a name that no sync takes notice of
        mode = 0o777 if executable else 0o666
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)


def link(workspace: Path, path: str, target: str) -> None:
    """Put a link at `path`. Raises PaudeError when it would lead out of the workspace."""
    if not stays_inside(path, target):
        raise PaudeError("the link leads out of the workspace", why=repr(target))
    with _parent(workspace, path) as (directory, name):
        fresh = f"{TEMPORARY}paude-{secrets.token_hex(8)}"
        os.symlink(target, fresh, dir_fd=directory)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)


@contextmanager
def _parent(workspace: Path, path: str) -> Iterator[tuple[int, str]]:
    """The directory of `path`, opened part by part and made where it is missing."""
    *above, name = path.split("/")
    if not name or any(part in ("", ".", "..") for part in (*above, name)):
        raise PaudeError("this is no path in the workspace", why=repr(path))
    directory = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            directory = _into(directory, part)
        yield directory, name
    except OSError as exc:
        raise PaudeError(f"{path!r} cannot be written", why=exc.strerror or str(exc)) from exc
    finally:
        os.close(directory)


def _into(directory: int, part: str) -> int:
    """The directory `part` of `directory`, which is closed; stays open itself when that fails."""
    with suppress(FileExistsError):
        os.mkdir(part, 0o777, dir_fd=directory)
    inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    os.close(directory)
    return inner
