"""The entry point: `paude` and `python -m paude`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from paude.cli.app import run

    run()


if __name__ == "__main__":
    main()
