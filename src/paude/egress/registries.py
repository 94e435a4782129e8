"""The package registries that the developer's own clients are set to. No name of one is known here.

Only what is the user's is read, never the workspace: an agent could write a host there and have it allowed next time.
Each client's settings are its own documentation's; a client that is installed is asked for what it would use by itself.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import anyio

from paude import process
from paude.egress import hosts
from paude.egress.allowlist import Allowlist
from paude.errors import PaudeError, SettingsError

RISK = "whoever may publish there can carry data out by it"
_LARGEST = 1 << 20
_ASK_S = 10.0
"""Seconds: a client that does not answer is not waited for."""
_URL = re.compile(r"https?://[^\s\"'<>,|;()]+")
Setting = tuple[str, str]
"""A URL, and where it was found."""


@dataclass(frozen=True)
class Registry:
    """One host, the client that is set to it, and where that is said; `why_not` tells why no session can reach it."""

    client: str
    host: str
    origin: str
    why_not: str = ""


async def configured(environ: Mapping[str, str], home: Path) -> tuple[Registry, ...]:
    """All of them, each host once for a client; files that cannot be read as what they are, are passed over."""
    found: dict[tuple[str, str], Registry] = {}
    for client, settings in _READERS.items():
        for url, origin in (*settings(environ, home), *[one async for one in _asked(client, environ, home)]):
            one = _registry(client, url, origin)
            if one is not None:
                found.setdefault((client, one.host), one)
    return tuple(found.values())


def risks(found: Iterable[Registry], allowed: Allowlist) -> tuple[str, ...]:
    """One line for each registry that the list lets through, however it came to be there."""
    clients: dict[str, list[str]] = {}
    for one in found:
        if not one.why_not and allowed.allows(one.host):
            clients.setdefault(one.host, []).append(one.client)
    return tuple(f"{host} is a package registry ({', '.join(clients[host])}): {RISK}" for host in sorted(clients))


def _registry(client: str, url: str, origin: str) -> Registry | None:
    """The host alone goes on: a URL may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not host or host in {"localhost", "127.0.0.1", "::1"}:
        return None
    if parts.scheme != "https":
        return Registry(client, host, origin, "it is not HTTPS")
    if port not in {None, 443}:
        return Registry(client, host, origin, f"it is at port {port}, and only 443 is let through")
    try:
        return Registry(client, hosts.normal(host), origin)
    except SettingsError as exc:
        return Registry(client, host, origin, exc.why)


def _npm(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    yield from _variables(environ, "npm_config_registry", "NPM_CONFIG_REGISTRY", "YARN_NPM_REGISTRY_SERVER")
    file = Path(environ.get("NPM_CONFIG_USERCONFIG") or environ.get("npm_config_userconfig") or home / ".npmrc")
    for line in _text(file).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "registry" or key.strip().endswith(":registry"):
            yield from _urls(value, file, environ)


def _pip(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    yield from _variables(environ, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    base = _config_home(environ, home)
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", base / "pip/pip.conf"]
    files.append(home / "Library/Application Support/pip/pip.conf")
    if named := environ.get("PIP_CONFIG_FILE"):
        files.append(Path(named))
    for file in files:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(_text(file))
        except configparser.Error:
            continue
        for section in parser.sections():
            for key in ("index-url", "extra-index-url"):
                yield from _urls(parser.get(section, key, fallback=""), file, environ)


def _uv(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    yield from _variables(environ, "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
    for file in (_config_home(environ, home) / "uv/uv.toml", Path("/etc/uv/uv.toml")):
        table = _toml(file)
        for part in (table, table.get("pip")):
            if isinstance(part, dict):
                said = [part.get("index-url"), part.get("extra-index-url"), _values(part.get("index"), "url")]
                yield from _urls(repr(said), file, environ)


def _maven(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    file = home / ".m2/settings.xml"
    try:
        tree = ElementTree.fromstring(_text(file) or "<settings/>")
    except ElementTree.ParseError:
        return
    for element in tree.iter():
        if element.tag.rpartition("}")[2] in {"mirror", "repository", "pluginRepository"}:
            for child in element:
                if child.tag.rpartition("}")[2] == "url":
                    yield from _urls(child.text or "", file, environ)


def _gradle(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    """Its scripts are programs, so what looks like a repository's address is taken."""
    base = Path(environ.get("GRADLE_USER_HOME") or home / ".gradle")
    scripts = [base / "init.gradle", base / "init.gradle.kts", *sorted((base / "init.d").glob("*.gradle*"))]
    for file in scripts:
        for line in _text(file).splitlines():
            if re.search(r"\burl\b|\buri\b|maven\(", line) and not line.lstrip().startswith("//"):
                yield from _urls(line, file, environ)


def _go(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    yield from _variables(environ, "GOPROXY")
    file = Path(environ.get("GOENV") or _config_home(environ, home) / "go/env")
    for line in _text(file).splitlines():
        if line.startswith("GOPROXY="):
            yield from _urls(line, file, environ)


def _cargo(environ: Mapping[str, str], home: Path) -> Iterator[Setting]:
    indexes = [name for name in environ if re.fullmatch(r"CARGO_(REGISTRIES|SOURCE)_\w+_(INDEX|REGISTRY)", name)]
    yield from _variables(environ, *sorted(indexes))
    base = Path(environ.get("CARGO_HOME") or home / ".cargo")
    for file in (base / "config.toml", base / "config"):
        table = _toml(file)
        said = [_values(table.get("registries"), "index"), _values(table.get("source"), "registry")]
        yield from _urls(repr(said), file, environ)


Reader = Callable[[Mapping[str, str], Path], Iterable[Setting]]
_READERS: Mapping[str, Reader] = {
    "npm": _npm,
    "pip": _pip,
    "uv": _uv,
    "Maven": _maven,
    "Gradle": _gradle,
    "Go": _go,
    "cargo": _cargo,
}
# What tells the client's own default, where nothing is set.
_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "npm": ("npm", "config", "get", "registry"),
    "Go": ("go", "env", "GOPROXY"),
}


async def _asked(client: str, environ: Mapping[str, str], home: Path) -> AsyncIterator[Setting]:
    question = _QUESTIONS.get(client)
    if question is None:
        return
    said = b""
    # It may not be installed, or broken: then nothing is known but what the files say.
    with suppress(PaudeError), anyio.move_on_after(_ASK_S):
        # At home: the settings of a project are not the user's.
        said = (await process.run(question, env=environ, cwd=home, check=False)).stdout
    for url, _ in _urls(said.decode(errors="replace"), Path(), environ):
        yield url, f"`{' '.join(question)}`"


def _variables(environ: Mapping[str, str], *names: str) -> Iterator[Setting]:
    for name in names:
        for url in _URL.findall(environ.get(name, "")):
            yield url, name


def _urls(text: str, file: Path, environ: Mapping[str, str]) -> Iterator[Setting]:
    """The URLs in a value; `${NAME}` is what several of the clients expand."""
    expanded = re.sub(r"\$\{(?:env\.)?(\w+)\}", lambda match: environ.get(match[1], ""), text)
    for url in _URL.findall(expanded):
        yield url, str(file)


def _values(tables: object, key: str) -> list[object]:
    """What the tables of a table, or of a list, say for `key`."""
    inner = tables.values() if isinstance(tables, dict) else tables if isinstance(tables, list) else ()
    return [one.get(key) for one in inner if isinstance(one, dict)]


def _config_home(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config")


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError:
        return {}


def _text(file: Path) -> str:
    try:
        with file.open("rb") as source:
            return source.read(_LARGEST).decode(errors="replace")
    except OSError:
        return ""
