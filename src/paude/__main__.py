"""The entry point: `paude` and `python -m paude`."""

from __future__ import annotations

import gc
import os
import sys

# Loading makes many objects and no garbage, and looking for some took a twentieth of the time.
_OBJECTS = 100_000


def main() -> None:
    """Run the command line."""
    _open_what_is_closed()
    gc.set_threshold(_OBJECTS)
    try:
        from paude.cli.terminal import opened_at_once

        if not opened_at_once(sys.argv[1:]):
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
