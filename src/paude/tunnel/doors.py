"""The tunnel by a socket in a directory that both ends see: no other program has a part in it.

On Podman that is the gate's directory on the session's volume. Where it cannot be seen (a virtual machine has it), and
where nobody stands behind the door or says anything, there is another way.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream

from paude.errors import ConnectionLost
from paude.tunnel.base import Dialer
from paude.tunnel.local import LocalStream
from paude.tunnel.ready import spoken

SPEAKS_S = 2.0
_AGAIN_S = 0.01


@dataclass(frozen=True)
class Doors:
    """A Dialer to servers that speak first: `directory` holds a socket for each port, named by it.

    Seconds: a server has `patience_s` to speak, and a door that is shut has `opens_s` to be opened.
    """

    directory: Path
    otherwise: Dialer
    patience_s: float = SPEAKS_S
    opens_s: float = 0.0

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port`, on which the server has spoken, or what the other way gives."""
        with suppress(OSError, ConnectionLost), anyio.move_on_after(self.patience_s):
            return await spoken(await LocalStream.over(await self._opened(port)))
        return await self.otherwise.dial(port)

    async def _opened(self, port: int) -> socket.socket:
        end = anyio.current_time() + self.opens_s
        while True:
            try:
                return _knocked(self.directory, port)
            except OSError:
                if anyio.current_time() >= end:
                    raise
            await anyio.sleep(_AGAIN_S)


def _knocked(directory: Path, port: int) -> socket.socket:
    """A connection to the socket. Raises OSError when there is none, or nobody there."""
    if sys.platform != "linux":
        raise OSError("only Linux has a short name for what was opened")
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    door = socket.socket(socket.AF_UNIX)
    try:
        door.setblocking(False)  # with its queue full it is as good as shut
        # The name of a socket may have 107 bytes, and the path of a volume has more.
        door.connect(f"/proc/self/fd/{place}/{port}")
    except BaseException:
        door.close()
        raise
    finally:
        os.close(place)
    return door
