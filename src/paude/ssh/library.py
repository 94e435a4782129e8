"""asyncssh, loaded without its search for two libraries that it can do without, the same on every machine.

The search starts a compiler and a linker where there are some, which takes a third of the time that loading takes.
What would be found are a key exchange and a MAC beside those that it has; both ends are paude's.
"""

from __future__ import annotations

import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_libraries() -> Iterator[None]:
    search = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None
    try:
        yield
    finally:
        ctypes.util.find_library = search


with _no_libraries():
    import asyncssh

__all__ = ["asyncssh"]
