"""asyncssh, loaded without what it can do without, the same on every machine: both ends are paude's.

It would search for two libraries (a key exchange and a MAC beside those that it has), which starts a compiler and a
linker where there are some and takes a third of the time that loading takes. And it would load all of X.509, a fifth,
where pyOpenSSL is installed or not: nobody here has such certificates.
"""

from __future__ import annotations

import ctypes.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CERTIFICATES = "asyncssh.crypto.x509"


@contextmanager
def _no_more_than_needed() -> Iterator[None]:
    search = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None
    sys.modules.setdefault(_CERTIFICATES, None)  # type: ignore[arg-type]  # an import takes it for a missing module
    try:
        yield
    finally:
        ctypes.util.find_library = search
        if sys.modules[_CERTIFICATES] is None:
            del sys.modules[_CERTIFICATES]


with _no_more_than_needed():
    import asyncssh

__all__ = ["asyncssh"]
