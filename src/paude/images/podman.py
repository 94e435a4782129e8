"""Podman as a child: its environment, and what its complaints mean."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from paude import process, report
from paude.errors import ImageError

_PASSED = (
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF", "CONTAINER_HOST", "CONTAINER_SSHKEY",
    "REGISTRY_AUTH_FILE", "STORAGE_DRIVER", "STORAGE_OPTS", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS",
)  # fmt: skip
_NOISE = re.compile(r'^time="[^"]*" level=\w+ msg=|^Error: ')
_DULL = re.compile(
    r"--> |\[Warning\] one or more build args|Successfully tagged|COMMIT |[0-9a-f]{64}$|Getting image source"
    r"|Writing manifest|Storing signatures"
)
_INSTALL = "install podman, or push the images from a machine that has it"


def environment() -> dict[str, str]:
    """What podman may see of the user's environment: its own settings and the way to the network."""
    return process.quiet_environment(**{k: os.environ[k] for k in _PASSED if k in os.environ})


async def podman(
    arguments: Sequence[str],
    *,
    stdin: bytes | None = None,
    tell: Callable[[str], None] | None = None,
    temporary: Path | None = None,
) -> process.Completed:
    """Run podman; its lines go to `tell`, and what it would leave when it is ended lies in `temporary`.

    Raises ImageError without podman, CommandFailed when it fails.
    """
    env = environment() | ({"TMPDIR": str(temporary)} if temporary else {})
    try:
        return await process.run(("podman", *arguments), stdin=stdin, env=env, on_stdout=tell, on_stderr=tell)
    except process.ToolMissing as exc:
        raise ImageError("podman is not installed", hint=_INSTALL) from exc


def stop_words(stderr: str, lines: int = 5) -> str:
    """The last lines of what podman said, without its decoration."""
    said = [_NOISE.sub("", line).strip('"') for line in stderr.strip().splitlines() if line.strip()]
    return "\n".join(said[-lines:])


def line(text: str) -> None:
    """Pass one line of podman on to the user, without its decoration, unless it says nothing to him."""
    if _DULL.match(text):
        return
    report.line(_NOISE.sub("", text).strip('"'))
