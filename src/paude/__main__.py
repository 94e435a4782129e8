"""The entry point: `paude` and `python -m paude`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    _open_what_is_closed()
    try:
        from paude.cli.app import run

        run()
    except KeyboardInterrupt:
        # Before the event loop takes the signal there is nothing to take back.
        sys.exit(130)


def _open_what_is_closed() -> None:
    """A stream that was closed before us leads nowhere; else the next file or socket would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


if __name__ == "__main__":
    main()
