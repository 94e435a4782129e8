"""The helper of ProxyUseFdpass: hand ssh a connection to the supervisor, start one when there is none, and be gone.

    python -IS fdpass.py SOCKET NAME PORT [STATE]

Standard library only and no import of paude, because its start is part of every connection; what only the start of a
supervisor needs is imported there. What it says goes to stderr, short, and never contains what mutagen takes for a
missing program.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

PATIENCE_S = 15.0
_RETRY_S = 0.02
_LOG_LIMIT = 1024 * 1024
_LONGEST = 4096
SUPERVISED = "PAUDE_SUPERVISED"
"""In the environment of a supervisor and of its children: what outlives it must not bring another to life."""


def main(arguments: list[str]) -> int:
    """Pass the connection over stdout; 255 when there is none."""
    where, name, port, *state = arguments
    try:
        with _way(where, state[0] if state else None) as stream:
            stream.sendall(f"{name} {port} told\n".encode("ascii"))
            answer = line_of(stream)
            if answer != "ok":
                sys.stderr.write(f"paude: {answer.removeprefix('no ') or 'the supervisor has ended'}\n")
                return 255
            with socket.socket(fileno=os.dup(1)) as ssh:
                socket.send_fds(ssh, [b"\0"], [stream.fileno()])
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"paude: no way to the supervisor: {exc}\n")
        return 255
    return 0


def _way(where: str, state: str | None) -> socket.socket:
    return dialled(where) if os.environ.get(SUPERVISED) else connected(where, state)


def line_of(stream: socket.socket) -> str:
    """The supervisor's answer, and not a byte more: what follows is for ssh."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST and (more := stream.recv(1)):
        line += more
    return line.decode("utf-8", "replace").strip()


def connected(where: str, state: str | None, patience: float = PATIENCE_S) -> socket.socket:
    """A connection to the supervisor at the socket `where`; starts one when nobody answers.

    Raises OSError when none answers within `patience` seconds.
    """
    try:
        return dialled(where)
    except OSError:
        start(where, state)
    end = time.monotonic() + patience
    while True:
        try:
            return dialled(where)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_RETRY_S)


def dialled(where: str) -> socket.socket:
    """A connection to the socket `where`; raises OSError when nobody listens."""
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.connect(where)
    except OSError:
        stream.close()
        raise
    return stream


def start(where: str, state: str | None) -> None:
    """Start a supervisor that belongs to nobody: own session, stdio to its log. Two at once sort it out by a lock."""
    import subprocess  # noqa: TID251 -- it is to outlive this process, so it cannot be one of paude.process

    with log_file(state) as log:
        subprocess.Popen(
            [sys.executable, "-m", "paude.plans.supervise"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(where, state),
            start_new_session=True,
        ).returncode = 0  # it is not waited for: without this the interpreter complains


def environment(where: str, state: str | None) -> dict[str, str]:
    """This process's environment, with the directories that lead to the same socket and state."""
    # Its few threads need no heaps of their own, and a TLS buffer (256 KiB a connection) goes back when it is free.
    memory = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "196608"}
    found = {**memory, **os.environ, SUPERVISED: "1"}
    if state is not None and os.path.basename(state) == "paude":
        found["XDG_STATE_HOME"] = os.path.dirname(state)
    runtime = os.path.dirname(where)
    if os.path.basename(runtime) == "paude":
        found["XDG_RUNTIME_DIR"] = os.path.dirname(runtime)
    return found


def log_file(state: str | None) -> BinaryIO:
    """The supervisor's log, opened for appending; over 1 MiB the old one is put aside first."""
    path = os.path.join(state, "supervisor.log") if state is not None else os.devnull
    if os.path.isfile(path) and os.path.getsize(path) > _LOG_LIMIT:
        os.replace(path, f"{path}.1")
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
