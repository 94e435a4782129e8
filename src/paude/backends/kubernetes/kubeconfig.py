"""Which cluster, as whom: reading kubeconfig files as kubectl does.

A `KUBECONFIG` list merges and the first file that names a thing wins (kubernetes.io, "Organizing cluster access").
kr8s lets the last one win and takes the current context's namespace for every context, so the choice is made here
and kr8s is given one finished context. Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paude.errors import LoginExpired, SettingsError

Section = Mapping[str, Any]  # YAML of others: any value may stand anywhere


@dataclass(frozen=True)
class Target:
    """One cluster, one user, one namespace; `files` are the kubeconfigs it was read from."""

    server: str
    namespace: str
    user: str
    context: str
    files: tuple[Path, ...]
    cluster_entry: Section
    user_entry: Section

    def __repr__(self) -> str:
        return f"<Target {self.server} namespace={self.namespace} user={self.user}>"

    def as_kubeconfig(self) -> dict[str, Any]:
        """The one context, as kr8s takes it."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": dict(self.cluster_entry)}],
            "users": [{"name": "u", "user": dict(self.user_entry)}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
            "current-context": "x",
        }

    @property
    def certificate_authority(self) -> bytes | None:
        """The cluster's CA certificates as PEM, or None where the system's store has to do."""
        return _blob(self.cluster_entry, "certificate-authority")


def files_from(flag: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The kubeconfig files that count: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`."""
    if flag is not None:
        return (flag,)
    listed = [Path(p) for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    return tuple(listed) or (Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config",)


def choose(files: Sequence[Path], *, context: str | None = None, namespace: str | None = None) -> Target:
    """The target that `context` (or the current context) names.

    Raises SettingsError when there is no kubeconfig, no such context, or a file cannot be read.
    """
    merged = _merge(files)
    name = context or merged.current
    if not name:
        raise SettingsError("the kubeconfig has no current context", hint="choose one with --context")
    entry = merged.contexts.get(name)
    if entry is None:
        known = ", ".join(sorted(merged.contexts)) or "none"
        raise SettingsError(f"there is no context {name!r}", why=f"known contexts: {known}", hint="see --context")
    cluster, user = str(entry.get("cluster", "")), str(entry.get("user", ""))
    return _target(merged, cluster, user, namespace or str(entry.get("namespace") or "default"), name)


def find(files: Sequence[Path], *, server: str, user: str, namespace: str) -> Target:
    """The target that a record pins, whatever the current context is by now.

    Raises LoginExpired when no kubeconfig knows that server and user any more.
    """
    merged = _merge(files)
    for cluster, entry in merged.clusters.items():
        if entry.get("server") == server and user in merged.users:
            return _target(merged, cluster, user, namespace, "")
    raise LoginExpired(
        f"no kubeconfig knows {user} at {server} any more",
        hint="log in to that cluster again, for example with `oc login`, or give the file with --kubeconfig",
    )


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
        current = current or str(document.get("current-context") or "")
    return _Merged(present, clusters, users, contexts, current)


def _read(file: Path) -> Section:
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise SettingsError(f"{file} cannot be read as a kubeconfig", why=str(exc)) from exc
    if not isinstance(document, dict):
        raise SettingsError(f"{file} is not a kubeconfig")
    return document


def _take(into: dict[str, Section], document: Section, plural: str, singular: str, file: Path) -> None:
    for item in document.get(plural) or []:
        name, body = item.get("name"), item.get(singular) or {}
        if isinstance(name, str) and isinstance(body, dict) and name not in into:
            into[name] = _absolute(body, file.parent)


def _absolute(body: Section, base: Path) -> Section:
    """Paths in a kubeconfig are relative to the file that they stand in."""
    paths = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    return {k: str(base / v) if k in paths and isinstance(v, str) and v else v for k, v in body.items()}


def _target(merged: _Merged, cluster: str, user: str, namespace: str, context: str) -> Target:
    if cluster not in merged.clusters or not merged.clusters[cluster].get("server"):
        raise SettingsError(f"the kubeconfig has no cluster {cluster!r}")
    entry = dict(merged.users.get(user, {}))
    token_file = entry.pop("tokenFile", None)
    if token_file and not entry.get("token"):
        entry["token"] = _file(Path(token_file)).decode().strip()  # kr8s ignores tokenFile
    return Target(
        server=str(merged.clusters[cluster]["server"]).rstrip("/"),
        namespace=namespace,
        user=user,
        context=context,
        files=merged.files,
        cluster_entry=merged.clusters[cluster],
        user_entry=entry,
    )


def _blob(entry: Section, key: str) -> bytes | None:
    if inline := entry.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=False)
        except binascii.Error as exc:
            raise SettingsError(f"the kubeconfig's {key}-data is not base64") from exc
    path = entry.get(key)
    return _file(Path(str(path))) if path else None


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path}, which the kubeconfig names, cannot be read", why=str(exc)) from exc


def client_certificate(entry: Section) -> tuple[bytes, bytes] | None:
    """The user's certificate and key as PEM, where the kubeconfig has both."""
    certificate, key = _blob(entry, "client-certificate"), _blob(entry, "client-key")
    return (certificate, key) if certificate and key else None
