"""The way into a cluster as one user: address, trust and credentials, made again when they are refused.

Apart from requests and their libraries: a process that only opens tunnels is to be small. Credentials are what the
kubeconfig's user entry has: a token, a certificate, or a plug-in that brings one of them (kubernetes.io,
"client-go credential plugins"). As with kubectl a token counts more than a plug-in.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from paude.backends.kubernetes import kubeconfig, status
from paude.backends.kubernetes.kubeconfig import Section, Target
from paude.backends.kubernetes.login_pause import LoginPause
from paude.backends.kubernetes.trust import present, trust_of
from paude.errors import CommandFailed, LoginExpired, PaudeError
from paude.process import ToolMissing, clean, run
from paude.settings import Paths, read
from paude.tunnel.portforward import ApiAccess

_PLUGIN = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CLUSTER_CONFIG = "client.authentication.k8s.io/exec"


@dataclass(frozen=True)
class Credentials:
    """Who somebody is: a token, or a certificate and its key as PEM, or neither."""

    token: str = field(default="", repr=False)
    certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)


class Login:
    """One user at one cluster. `tunnel` is the kind of tunnel that the user's settings name."""

    def __init__(self, target: Target, paths: Paths) -> None:
        """Raises SettingsError for certificates that cannot be used."""
        self.target = target
        self.tunnel = read(paths, None).values.tunnel
        self._paths = paths
        self._trust = trust_of(target)
        self._made: ApiAccess | None = None
        self._turn = anyio.Lock()
        self._pause = LoginPause(target.files)

    async def access(self, renew: bool = False) -> ApiAccess:
        """What a request or a tunnel needs; `renew` reads the kubeconfig again first, and seldom when in vain.

        However many were refused with the same credentials, others are made once. Raises LoginExpired, SettingsError.
        """
        before = self._made
        async with self._turn:
            if self._made is None:
                self._made = await self._access(self.target)
            elif renew and self._made is before:
                self._made = await self._renewed()
            return self._made

    async def _renewed(self) -> ApiAccess:
        self._pause.check()
        known = self.target
        try:
            again = kubeconfig.find(known.files, server=known.server, user=known.user, namespace=known.namespace)
            return await self._access(again)
        except PaudeError as exc:
            raise status.login_expired() from exc

    async def _access(self, target: Target) -> ApiAccess:
        who = await credentials(target)
        if who.certificate:
            present(self._trust, who.certificate, self._paths)
        headers = {"Authorization": f"Bearer {who.token}"} if who.token else {}
        return ApiAccess(target.server, self._trust, headers, target.proxy)


async def credentials(target: Target) -> Credentials:
    """What the user entry has, or its plug-in brings. Raises LoginExpired when that fails, SettingsError."""
    entry = target.user_entry
    certificate = kubeconfig.client_certificate(entry)
    if token := entry.get("token"):
        return Credentials(str(token), certificate)
    if isinstance(plugin := entry.get("exec"), Mapping):
        return await _brought(target, plugin)
    if isinstance(provider := entry.get("auth-provider"), Mapping):
        return Credentials(_id_token(provider))
    if "username" in entry and not certificate:
        raise _failed("Kubernetes takes no user names with passwords since 1.19")
    return Credentials(certificate=certificate)


def _id_token(provider: Section) -> str:
    config = provider.get("config")
    token = config.get("id-token") if isinstance(config, Mapping) else None
    if provider.get("name") != "oidc" or not isinstance(token, str):
        raise _failed("of the auth-providers there is only oidc any more, and it needs an id-token")
    return token


async def _brought(target: Target, plugin: Section) -> Credentials:
    command = str(plugin.get("command") or "")
    if plugin.get("apiVersion") not in _PLUGIN or not command:
        raise _failed(f"its plug-in is not of {' or '.join(_PLUGIN)}")
    try:
        done = await run([command, *map(str, plugin.get("args") or ())], env=_environment(target, plugin))
        return _read(json.loads(done.stdout)["status"])
    except ToolMissing as exc:
        raise _failed(exc.what, str(plugin.get("installHint") or "")) from exc
    except CommandFailed as exc:
        raise _failed(f"{command} ended with {exc.returncode}: {exc.stderr.strip()[-300:]}") from exc
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as exc:
        raise _failed(f"{command} brought neither a token nor a certificate") from exc


def _read(brought: Mapping[str, Any]) -> Credentials:
    if token := brought.get("token"):
        return Credentials(str(token))
    return Credentials(certificate=(brought["clientCertificateData"].encode(), brought["clientKeyData"].encode()))


def _environment(target: Target, plugin: Section) -> dict[str, str]:
    """What plug-ins are told (kubernetes.io, "input and output formats"). Nobody is there to be asked."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster(target)
    about = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    own = {str(one["name"]): str(one["value"]) for one in plugin.get("env") or ()}
    return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(about)}


def _cluster(target: Target) -> dict[str, Any]:
    entry, ca = target.cluster_entry, target.certificate_authority
    told = {key: entry[key] for key in ("tls-server-name", "insecure-skip-tls-verify", "proxy-url") if key in entry}
    if ca:
        told["certificate-authority-data"] = base64.b64encode(ca).decode()
    for one in entry.get("extensions") or ():
        if one["name"] == _CLUSTER_CONFIG:
            told["config"] = one["extension"]
    return {"server": target.server, **told}


def _failed(why: str, hint: str = "") -> LoginExpired:
    return LoginExpired("the kubeconfig's way of logging in failed", why=clean(why), hint=clean(hint))
