"""What podman's complaints mean: its words in, our errors out. Pure."""

from __future__ import annotations

import re

from paude.errors import ConnectionLost, Forbidden, ImageError, NameTaken, NotFound, PaudeError, SessionGone
from paude.process import clean
from paude.tunnel.base import TunnelLost

OLDEST = (4, 3)
_NOISE = re.compile(r'^time="[^"]*" level=\w+ msg=|^Error: ')
# Said beside the failure, and not its reason.
_WARNING = re.compile(r'time="[^"]*" level=warning|Resource limits are not supported and ignored')
_ABSENT = re.compile(
    r"no such (?:container|object|volume|secret)|no (?:container|volume|secret) with name", re.IGNORECASE
)
_NOT_RUNNING = re.compile(
    r"not running|container state improper|no such exec session|is not in running state|stopped container"
)


def error(stderr: str, doing: str) -> PaudeError:
    """The error for a podman that could not do something (`doing`: words such as "start the gate")."""
    why = words(stderr)
    what = f"podman cannot {doing}"
    said = "\n".join(line for line in stderr.splitlines() if not _WARNING.match(line))
    for pattern, kind, hint in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(what, why=why, hint=hint)
    return PaudeError(what, why=why)


def is_absent(stderr: str) -> bool:
    """Whether the thing that podman was asked about does not exist."""
    return _ABSENT.search(stderr) is not None


def tunnel_failure(code: int, said: str) -> Exception:
    """What it means that a stream into a container ended with `code`; 125 is podman's own failure."""
    if code == 125 and is_absent(said):
        return SessionGone("the session's container is gone", why=words(said))
    if has_ended(code, said):
        return TunnelLost("the session's container does not run", hint="`paude start` starts it again")
    return TunnelLost("the tunnel broke off", why=words(said) or f"podman ended with {code}")


def has_ended(code: int, said: str) -> bool:
    """Whether a stream could not be opened because its container does not run."""
    return code in {125, 126, 255} and _NOT_RUNNING.search(said) is not None


def version_error(version: str) -> PaudeError | None:
    """The error for a podman that is too old; None for one that will do, or does not say."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST:
        return None
    oldest = ".".join(map(str, OLDEST))
    return PaudeError(f"podman {version} is too old: paude needs {oldest} or newer", hint="update podman")


def words(stderr: str, lines: int = 4) -> str:
    """The last lines of what podman said, without its decoration."""
    said = [_NOISE.sub("", line).strip('"') for line in clean(stderr).strip().splitlines() if line.strip()]
    return "\n".join(said[-lines:])


_NO_IDS = (
    r"cannot find UID/GID for user|newuidmap|newgidmap|insufficient UIDs or GIDs|lchown .*invalid argument"
    r"|no subuid ranges|not enough IDs"
)
_GET_IDS = (
    "this user has no range of user IDs for rootless containers: install the package uidmap, then"
    " `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER` and `podman system migrate`"
)
_MEANINGS: tuple[tuple[str, type[PaudeError], str], ...] = (
    (r"no space left|disk quota exceeded", PaudeError, "make room, for example with `podman image prune`"),
    (_NO_IDS, PaudeError, _GET_IDS),
    (r"unable to connect to Podman|Cannot connect to Podman|podman machine|connection refused.*podman\.sock",
     ConnectionLost, "is the machine started? `podman machine start`"),
    (r"name \S+ is already in use|already exists|name is already in use|secret name in use", NameTaken,
     "choose another --name"),
    (r"SELinux|avc: *denied|relabel", Forbidden, "SELinux refuses it: `ausearch -m avc -ts recent` tells which rule"),
    (r"image not known|no such image|short-name|initializing source", ImageError, "try again: the image is built anew"),
    (r"address already in use", PaudeError, "another program uses the port"),
    (r"cgroup|controller", PaudeError,
     "the limits of a session need control groups: on a rootless machine, version 2 with delegation"),
    (r"permission denied|operation not permitted", Forbidden, "try `podman run --rm` of any image as this user"),
    (r"database is locked|locking|acquiring lock", PaudeError, "another podman is at work: try again"),
    (r"no such (?:container|volume|object)", NotFound, ""),
)  # fmt: skip
