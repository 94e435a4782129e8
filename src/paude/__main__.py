"""The entry point: `paude` and `python -m paude`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from paude.cli.app import run

        run()
    except KeyboardInterrupt:
        # Before the event loop takes the signal there is nothing to take back.
        sys.exit(130)


if __name__ == "__main__":
    main()
