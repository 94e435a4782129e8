"""Logins for registries: the user's own, as podman and docker keep them, and the forms others want them in."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paude import process
from paude.errors import CommandFailed, SettingsError
from paude.images.reference import Login

_LARGEST = 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_KEY = "https://index.docker.io/v1/"


async def find(host_and_path: str, environ: Mapping[str, str]) -> Login | None:
    """The user's login for a registry, the most specific entry first; None when there is none.

    Looked for where podman looks: REGISTRY_AUTH_FILE alone when set, else the runtime directory's, podman's and
    docker's files. Raises SettingsError for a file that is no JSON.
    """
    for file in _files(environ):
        content = _read(file)
        for key in _keys(host_and_path):
            login = _entry(content, key) or await _helper(content, key, environ)
            if login is not None:
                return login
    return None


def dockerconfigjson(login: Login, host: str) -> bytes:
    """The value of `.dockerconfigjson` in a pull secret."""
    entry = {"username": login.user, "password": login.password, "auth": _encoded(login)}
    return json.dumps({"auths": {_key(host): entry}}).encode()


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
        return
    home = Path(environ.get("HOME") or "/nonexistent")
    runtime = environ.get("XDG_RUNTIME_DIR")
    yield Path(runtime or f"/run/containers/{os.getuid()}") / ("containers/auth.json" if runtime else "auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            data = source.read(_LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise SettingsError(f"the login file {file} cannot be read", why=exc.strerror or "") from exc
    if not data.strip():
        return {}
    try:
        content = json.loads(data) if len(data) <= _LARGEST else None
    except ValueError as exc:
        # The decoder's own words could quote the file.
        raise SettingsError(f"the login file {file} is no JSON", hint="log in again to write it anew") from exc
    if not isinstance(content, dict):
        raise SettingsError(f"the login file {file} is no JSON object", hint="log in again to write it anew")
    return content


def _keys(host_and_path: str) -> Iterator[str]:
    parts = host_and_path.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    for prefix in ("https://", "http://"):
        yield prefix + parts[0]
        yield f"{prefix}{parts[0]}/v1/"
        yield f"{prefix}{parts[0]}/v2/"
    if parts[0] in _DOCKER_HUB:
        yield _DOCKER_KEY


def _entry(content: Mapping[str, Any], key: str) -> Login | None:
    entry = _mapping(_mapping(content.get("auths")).get(key))
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user and password:
        return Login(user, password)
    return _decoded(entry.get("auth"))


def _decoded(text: object) -> Login | None:
    try:
        user, colon, password = base64.b64decode(str(text or ""), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Login(user, password.rstrip("\0")) if colon and user and password else None


async def _helper(content: Mapping[str, Any], key: str, environ: Mapping[str, str]) -> Login | None:
    name = _mapping(content.get("credHelpers")).get(key) or content.get("credsStore")
    if not isinstance(name, str) or not _HELPER.fullmatch(name) or key.startswith("http://"):
        return None
    try:
        done = await process.run((f"docker-credential-{name}", "get"), stdin=key.encode(), env=dict(environ))
        found = json.loads(done.stdout)
    except (CommandFailed, process.ToolMissing, ValueError):
        return None
    user, secret = _mapping(found).get("Username"), _mapping(found).get("Secret")
    # "<token>" marks an identity token, which is no password.
    return Login(user, secret) if isinstance(user, str) and isinstance(secret, str) and user != "<token>" else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _key(host: str) -> str:
    return _DOCKER_KEY if host in _DOCKER_HUB else host


def _encoded(login: Login) -> str:
    return base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
