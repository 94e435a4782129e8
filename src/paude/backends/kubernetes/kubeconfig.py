"""Which cluster, as whom: reading kubeconfig files as kubectl does.

A `KUBECONFIG` list merges and the first file that names a thing wins (kubernetes.io, "Organizing cluster access").
kr8s lets the last one win and takes the current context's namespace for every context, so the choice is made here.
Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from paude.errors import LoginExpired, SettingsError
from paude.sessions.records import Record
from paude.settings import Settings

Section = Mapping[str, Any]  # YAML of others: any value may stand anywhere

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LARGEST = 8 * 1024 * 1024


@dataclass(frozen=True)
class Target:
    """One cluster, one user, one namespace; `files` are the kubeconfigs it was read from, `cluster` its name there."""

    server: str
    namespace: str
    user: str
    context: str
    files: tuple[Path, ...]
    cluster_entry: Section
    user_entry: Section
    cluster: str = ""

    def __repr__(self) -> str:
        return f"<Target {self.server} namespace={self.namespace} user={self.user}>"

    def as_kubeconfig(self) -> dict[str, Any]:
        """The one context as a file of its own would have it."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": dict(self.cluster_entry)}],
            "users": [{"name": "u", "user": dict(self.user_entry)}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
            "current-context": "x",
        }

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API server."""
        where = urlsplit(self.server)
        return where.hostname or "", where.port or (443 if where.scheme == "https" else 80)

    @property
    def proxy(self) -> str | None:
        """The proxy on the way to it, where the kubeconfig names one."""
        return _text(self.cluster_entry.get("proxy-url")) or None

    @property
    def certificate_authority(self) -> bytes | None:
        """The cluster's CA certificates as PEM, or None where the system's store has to do."""
        return _blob(self.cluster_entry, "certificate-authority")


def files_from(flag: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The kubeconfig files that count: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`."""
    if flag is not None:
        return (flag.absolute(),)  # records keep it, and they are read in other directories
    listed = [Path(p).absolute() for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    return tuple(listed) or (Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config",)


def contexts(files: Sequence[Path]) -> tuple[str, ...]:
    """The names of all contexts. Raises SettingsError for files that are not there or cannot be read."""
    return tuple(_merge(files).contexts)


def _checked_namespace(name: str) -> None:
    """Its name becomes part of addresses. Raises SettingsError for one that Kubernetes would not take (RFC 1123)."""
    if not _NAMESPACE.fullmatch(name) or len(name) > 63:
        raise SettingsError(
            f"{name[:63]!a} cannot be a namespace", why="lower-case letters, digits and inner dashes are allowed"
        )


def choose(files: Sequence[Path], *, context: str | None = None, namespace: str | None = None) -> Target:
    """The target that `context` (or the current context) names.

    Raises SettingsError when there is no kubeconfig, no such context, or a file cannot be read.
    """
    if namespace:
        _checked_namespace(namespace)
    merged = _merge(files)
    name = context or merged.current
    if not name:
        raise SettingsError("the kubeconfig has no current context", hint="choose one with --context")
    entry = merged.contexts.get(name)
    if entry is None:
        known = ", ".join(sorted(merged.contexts)) or "none"
        raise SettingsError(
            f"there is no context {name!r}", why=f"known contexts: {known}", hint="choose one with --context"
        )
    cluster, user = _text(entry.get("cluster")), _text(entry.get("user"))
    if user and user not in merged.users:
        raise SettingsError(f"the kubeconfig has no user {user!r}", why=f"the context {name!r} names it")
    return _target(merged, cluster, user, namespace or _text(entry.get("namespace")) or "default", name)


def files_of(settings: Settings) -> tuple[Path, ...]:
    """The kubeconfig files that count by what is set."""
    return files_from(Path(settings.kubeconfig) if settings.kubeconfig else None)


def chosen(settings: Settings) -> Target:
    """The target that is set, else the current context's. Raises as `choose`."""
    return choose(files_of(settings), context=settings.context or None, namespace=settings.namespace or None)


def find(files: Sequence[Path], *, server: str, user: str, namespace: str) -> Target:
    """The target that a record pins, whatever the current context is by now.

    Raises LoginExpired when no kubeconfig knows that server and user any more.
    """
    merged = _merge(files)
    for cluster, entry in merged.clusters.items():
        if _server(entry) == server.rstrip("/") and (user in merged.users or not user):
            return _target(merged, cluster, user, namespace, "")
    raise LoginExpired(
        f"no kubeconfig knows {user} at {server} any more",
        hint="log in to that cluster again, for example with `oc login`, or give the file with --kubeconfig",
    )


def pinned(record: Record) -> Target:
    """The target that a record pins. Raises as `find`."""
    files = tuple(Path(file) for file in record.kubeconfig) or files_from(None)
    return find(files, server=record.server, user=record.user, namespace=record.namespace)


@dataclass(frozen=True)
class _Merged:
    files: tuple[Path, ...]
    clusters: Mapping[str, Section]
    users: Mapping[str, Section]
    contexts: Mapping[str, Section]
    current: str


def _merge(files: Sequence[Path]) -> _Merged:
    present = tuple(f for f in files if f.is_file())
    if not present:
        raise SettingsError(
            "there is no kubeconfig",
            why="looked for " + ", ".join(str(f) for f in files),
            hint="log in to a cluster, or give a file with --kubeconfig",
        )
    clusters: dict[str, Section] = {}
    users: dict[str, Section] = {}
    contexts: dict[str, Section] = {}
    current = ""
    for file in present:
        document = _read(file)
        _take(clusters, document, "clusters", "cluster", file)
        _take(users, document, "users", "user", file)
        _take(contexts, document, "contexts", "context", file)
        current = current or _text(document.get("current-context"))
    return _Merged(present, clusters, users, contexts, current)


class _Loader(yaml.SafeLoader):
    """YAML without merge keys: a few lines of them grow into more pairs than any memory holds."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys are not read", node.start_mark)


def _read(file: Path) -> Section:
    try:
        with file.open("rb") as source:
            data = source.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise SettingsError(f"{file} is too large for a kubeconfig")
        document = yaml.load(data.decode(), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as exc:
        raise SettingsError(f"{file} cannot be read as a kubeconfig", why=_reason(exc)) from exc
    if document is None:
        return {}  # kubectl takes an empty file for one without contexts
    if not isinstance(document, dict):
        raise SettingsError(f"{file} is not a kubeconfig")
    return document


def _reason(exc: Exception) -> str:
    """Why a file could not be read, without the lines themselves: they may hold a token."""
    if isinstance(exc, yaml.MarkedYAMLError):
        mark = exc.problem_mark or exc.context_mark
        return f"line {mark.line + 1}: {exc.problem}" if mark else str(exc.problem)
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    return "it is not text" if isinstance(exc, UnicodeDecodeError) else str(exc)


def _take(into: dict[str, Section], document: Section, plural: str, singular: str, file: Path) -> None:
    listed = document.get(plural)
    for item in listed if isinstance(listed, list) else ():
        name, body = (item.get("name"), item.get(singular) or {}) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and isinstance(body, dict) and name not in into:
            into[name] = _absolute(body, file.parent)


def _absolute(body: Section, base: Path) -> Section:
    """Paths in a kubeconfig are relative to the file that they stand in."""
    paths = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    found = {k: str(base / v) if k in paths and isinstance(v, str) and v else v for k, v in body.items()}
    plugin = found.get("exec")
    if isinstance(plugin, dict) and os.sep in (command := _text(plugin.get("command"))):
        found["exec"] = {**plugin, "command": str(base / command)}
    return found


def _text(value: object) -> str:
    """A value as a name: numbers are taken as they are written, lists and mappings are none."""
    return str(value) if isinstance(value, str | int) else ""


def _server(entry: Section) -> str:
    return _text(entry.get("server")).rstrip("/")


def _target(merged: _Merged, cluster: str, user: str, namespace: str, context: str) -> Target:
    if cluster not in merged.clusters:
        raise SettingsError(f"the kubeconfig has no cluster {cluster!r}")
    server = _server(merged.clusters[cluster])
    if not server.startswith(("https://", "http://")):
        raise SettingsError(f"the kubeconfig's cluster {cluster!r} has no server's address", why=repr(server[:200]))
    entry = dict(merged.users.get(user, {}))
    token_file = _text(entry.pop("tokenFile", None))
    if token_file:
        entry["token"] = _token(Path(token_file))  # kubectl prefers it
    return Target(
        server=server,
        namespace=namespace,
        user=user,
        context=context,
        files=merged.files,
        cluster_entry=merged.clusters[cluster],
        user_entry=entry,
        cluster=cluster,
    )


def _blob(entry: Section, key: str) -> bytes | None:
    if inline := _text(entry.get(f"{key}-data")):
        try:
            return base64.b64decode(inline, validate=False)
        except ValueError as exc:
            raise SettingsError(f"the kubeconfig's {key}-data is not base64") from exc
    path = _text(entry.get(key))
    return _file(Path(path)) if path else None


def _token(path: Path) -> str:
    try:
        return _file(path).decode("ascii").strip()
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path}, which the kubeconfig names, holds no token") from exc


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path}, which the kubeconfig names, cannot be read", why=str(exc)) from exc


def client_certificate(entry: Section) -> tuple[bytes, bytes] | None:
    """The user's certificate and key as PEM, where the kubeconfig has both."""
    certificate, key = _blob(entry, "client-certificate"), _blob(entry, "client-key")
    return (certificate, key) if certificate and key else None
