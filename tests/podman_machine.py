"""A developer's machine without a cluster: `paude` on it uses this machine's Podman, whose resolver is the fake one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from laptop import Laptop
from world import zone

BASE = os.environ.get("PAUDE_TEST_BASE_IMAGE", "localhost/paude-base:bookworm")
# What a machine without CAP_SYS_RESOURCE can grant.
_BUILDS = """\
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""
# Nothing that runs in a test may ask a resolver of the real world.
_SETTINGS = f'{_BUILDS}dns_servers = ["{zone.RESOLVER}"]\n'


def available() -> bool:
    """Whether podman and the base image are here."""
    return shutil.which("podman") is not None and bool(podman("images", "--quiet", BASE, check=False))


def podman(*words: str, check: bool = True, stdin: str | None = None) -> str:
    """What podman prints."""
    done = subprocess.run(
        ["podman", *words], env={**os.environ, **settings()}, input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 or not check, f"podman {words}: {done.stderr}"
    return done.stdout.strip()


def settings() -> dict[str, str]:
    """The environment that makes podman use the settings above."""
    return _settings("podman", _SETTINGS)


def _settings(name: str, text: str) -> dict[str, str]:
    file = Path(tempfile.gettempdir()) / f"paude-test-{name}-{os.getuid()}.conf"
    if not file.exists() or file.read_text() != text:
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(text)
        partial.replace(file)
    return {"CONTAINERS_CONF": str(file)}


def build_images(env: Mapping[str, str]) -> list[str]:
    """Build what is missing of the images, with the environment of a machine; gives their names."""
    words = [sys.executable, str(Path(__file__).parent / "podman_images.py")]
    own = {**env, **_settings("builds", _BUILDS)}
    done = subprocess.run(words, env=own, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def things(name: str = "paude-") -> set[str]:
    """Every container, volume, network and secret whose name holds `name`."""
    lists = {
        "container": ("ps", "--all", "--external", "--format", "{{.Names}}"),
        "volume": ("volume", "ls", "--format", "{{.Name}}"),
        "network": ("network", "ls", "--format", "{{.Name}}"),
        "secret": ("secret", "ls", "--format", "{{.Name}}"),
    }
    return {f"{kind} {one}" for kind, words in lists.items() for one in podman(*words).split() if name in one}


def enter(name: str, part: str, command: str) -> str:
    """What a shell command prints in a container of a session."""
    return podman("exec", f"paude-{name}-{part}", "sh", "-c", command)


def told(name: str) -> str:
    """What podman says of a session's containers, and what they have said."""
    parts = [f"paude-{name}-{part}" for part in ("gate", "agent", "proxy")]
    return podman("inspect", *parts) + "".join(_log(part) for part in parts)


def _log(container: str) -> str:
    words = ["podman", "logs", container]
    done = subprocess.run(words, env={**os.environ, **settings()}, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@contextmanager
def machine(cache: Path) -> Iterator[Laptop]:
    """A fresh home with nothing in it; its sessions are gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="pm-"))
    env = {
        **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
        **settings(),
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".s"),
        "XDG_RUNTIME_DIR": str(home / ".r"),
        "XDG_CACHE_HOME": str(cache),
        "PAUDE_BASE_IMAGE": BASE,
        "PAUDE_BUILD_NETWORK": "host",
    }
    for directory in (home / ".s", home / ".r"):
        directory.mkdir(mode=0o700)
    build_images(env)
    made = Laptop(home, home / ".s", env)
    try:
        yield made
    finally:
        made.paude("stop", "--all", "--discard", code=None)
        made.paude("supervisor", "stop", code=None)
        shutil.rmtree(home, ignore_errors=True)
