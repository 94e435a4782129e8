"""Brings a terminal back when paude was killed: waits for the end of its stdin, then resets what stdout leads to.

    python -IS guardian.py < PIPE > TERMINAL

The pipe brings one line of JSON: the settings to restore and the ones that paude made. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import termios
from typing import Any

_READ = 65536
# As paude.ssh.screen, which this process does not import.
_LEAVE_AND_RESET = (
    b"\x1b[?1049l\x1b7\x1b[r\x1b8\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l"
    b"\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[?2026l\x1b[>4;0m\x1b[<u"
    b"\x1b[4l\x1b[?7h\x1b(B\x0f\x1b[0m\x1b[0 q\x1b]112\x07\x1b[?25h\r\n"
)


def main() -> int:
    """Wait, then restore; the settings stay as they are when the shell has changed them meanwhile."""
    told = b""
    while chunk := os.read(0, _READ):
        told += chunk
    settings = json.loads(told)
    try:
        ours = plain(termios.tcgetattr(1)) == settings["raw"]
        os.write(1, _LEAVE_AND_RESET)
        if ours:
            termios.tcsetattr(1, termios.TCSANOW, attributes(settings["cooked"]))
    except (OSError, termios.error):
        return 1
    return 0


def plain(settings: list[Any]) -> list[Any]:
    """Terminal settings in a form that JSON can carry."""
    return [*settings[:6], [c if isinstance(c, int) else c.decode("latin-1") for c in settings[6]]]


def attributes(settings: list[Any]) -> list[Any]:
    """The reverse of `plain`."""
    return [*settings[:6], [c if isinstance(c, int) else c.encode("latin-1") for c in settings[6]]]


if __name__ == "__main__":
    sys.exit(main())
