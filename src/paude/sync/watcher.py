"""The watcher of a workspace on a Mac, for the sync daemon: its own could watch there only file by file.

A program of its own, `python -m paude.sync.watcher DIRECTORY`, that prints what the gate's watcher prints: `watching`
once every change is noticed, then `changed PATH` for each of a few paths or `changed` alone for many, and `polling`
when the system does not let it watch. It ends with its standard input.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Thread
from time import sleep

from watchfiles._rust_notify import RustNotify  # documented as the way to use the backend directly

BURST_MS = 150
# The library looks so often whether something came: less would cost more at rest.
QUIET_MS = 30
FEW = 50


def main(directory: Path) -> None:
    """Watch until the standard input ends."""
    Thread(target=_end_with_input, daemon=True).start()
    try:
        with RustNotify([str(directory)], False, False, 0, True, False) as watcher:
            _say("watching")
            while isinstance(found := watcher.watch(BURST_MS, QUIET_MS, 0, None), set):
                _tell(directory, [path for _, path in found])
    except (OSError, RuntimeError) as exc:
        sys.stderr.write(f"paude: {directory} cannot be watched: {exc}\n")
        _say("polling")
        while True:
            sleep(3600)  # its end would be taken for a failure


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _tell(directory: Path, paths: list[str]) -> None:
    names = [os.path.relpath(path, directory) for path in paths]
    plain = [name for name in names if name != "." and name.isprintable()]
    if len(plain) < len(names) or len(names) > FEW:
        _say("changed")
        return
    for name in plain:
        if not name.rpartition("/")[2].startswith(".mutagen-temporary-"):
            _say(f"changed {name}")


def _say(word: str) -> None:
    try:
        sys.stdout.write(f"{word}\n")
        sys.stdout.flush()
    except OSError:
        os._exit(0)  # nobody listens any more


if __name__ == "__main__":
    main(Path(sys.argv[1]))
