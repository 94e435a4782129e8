"""Files for the agent's home directory, as one packed tar in its Secret. Pure."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

NAME = "tree.tar.gz"
"""The key of the Secret; the program in the agent's container unpacks it where nothing of a name is there yet."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files by their path below the home directory; equal files make equal bytes, none make none."""
    if not files:
        return b""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
