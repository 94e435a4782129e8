"""A hostile sync agent, and an eye on a directory that misses nothing which is there for a moment only."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
_CORE = "pkg/synchronization/core"
_REPLACED = {
    f"{_CORE}/ignore/mutagen/ignore.go": "ignore.go",
    f"{_CORE}/ignore/ignore_vcs.go": "ignore_vcs.go",
    f"{_CORE}/symbolic_link.go": "symbolic_link.go",
}
# IN_CREATE, IN_MOVED_TO, IN_MODIFY of inotify(7)
_MASK = 0x100 | 0x80 | 0x2


def build(directory: Path) -> Path:
    """The hostile agent's program."""
    sys.path.insert(0, str(CHECKOUT))
    try:
        from hatch_build import find_go, go_environment
    finally:
        sys.path.pop(0)
    go, module = find_go(), CHECKOUT / "containers/mutagen"
    find = [*go, "list", "-m", "-f", "{{.Dir}}", "github.com/mutagen-io/mutagen"]
    made = {"cwd": module, "env": go_environment(), "check": True, "capture_output": True, "text": True}
    source = subprocess.run(find, **made).stdout.strip()  # type: ignore[call-overload]
    copy = directory / "mutagen"
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    for old, new in _REPLACED.items():
        (copy / old).unlink()
        shutil.copyfile(CHECKOUT / "tests/hostile_agent" / new, copy / old)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module / name, directory / name)
    with (directory / "go.mod").open("a") as file:
        file.write(f"\nreplace github.com/mutagen-io/mutagen => {copy}\n")
    package = "github.com/mutagen-io/mutagen/cmd/mutagen-agent"
    words = [f"-modfile={directory}/go.mod", "-tags", "mutagenagent", "-o", str(directory / "mutagen-agent"), package]
    subprocess.run([*go, "build", "-trimpath", *words], **made)  # type: ignore[call-overload]
    shutil.rmtree(copy)
    return directory / "mutagen-agent"


@contextmanager
def eye_on(root: Path) -> Iterator[set[str]]:
    """The paths, relative to `root`, of all that comes into being below it, however briefly; whole after the block.

    Directories that are made meanwhile are themselves seen; what is in them need not be.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_CLOEXEC)
    watched = {}
    for directory in (root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())):
        number = libc.inotify_add_watch(watcher, os.fsencode(directory), _MASK)
        assert number >= 0, os.strerror(ctypes.get_errno())
        watched[number] = directory
    seen: set[str] = set()
    reader = threading.Thread(target=_read, args=(watcher, watched, root, seen))
    reader.start()
    try:
        yield seen
    finally:
        (root / ".eye-closes").touch()
        reader.join()
        (root / ".eye-closes").unlink()
        os.close(watcher)
        seen.discard(".eye-closes")


def _read(watcher: int, watched: dict[int, Path], root: Path, seen: set[str]) -> None:
    while ".eye-closes" not in seen:
        batch = os.read(watcher, 1 << 20)
        while batch:
            number, mask, _, length = struct.unpack_from("iIII", batch)
            assert not mask & 0x4000, "the kernel dropped events"  # IN_Q_OVERFLOW
            name = os.fsdecode(batch[16 : 16 + length].rstrip(b"\0"))
            if number in watched:
                seen.add(str((watched[number] / name).relative_to(root)))
            batch = batch[16 + length :]
