"""The connection to one cluster: requests, server-side apply, and a list+watch that does not give up silently.

kr8s brings the HTTP client; its watch, wait, exec and port-forward are not used (they loop without pause, end early or
die under load; reproduced with 0.20.15). This is the only module that imports kr8s.
"""

from __future__ import annotations

import json
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import anyio
import httpx
import kr8s

from paude.backends.base import Location
from paude.backends.kubernetes import status
from paude.backends.kubernetes.kubeconfig import Target
from paude.backends.kubernetes.login import Login
from paude.errors import ConnectionLost, PaudeError, SettingsError
from paude.process import clean
from paude.settings import Paths
from paude.tunnel.portforward import ApiAccess

FIELD_MANAGER = "paude"
TIMEOUT = httpx.Timeout(30, connect=10)
_STEADY_S = 5  # a watch that held for so long has worked
WATCH_S = 240  # the server ends the watch then; a silent connection is noticed a little later
OLDEST = (1, 29)  # native sidecars are on by default from 1.29 (kubernetes.io, "Sidecar Containers")

Object = dict[str, Any]  # wire JSON of the API server

_KINDS = {
    "Namespace": ("v1", "namespaces"),
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Pod": ("v1", "pods"),
    "Event": ("v1", "events"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Deployment": ("apps/v1", "deployments"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "EgressFirewall": ("k8s.ovn.org/v1", "egressfirewalls"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses"),
    "ProjectRequest": ("project.openshift.io/v1", "projectrequests"),
    "ImageStream": ("image.openshift.io/v1", "imagestreams"),
    "SelfSubjectReview": ("authentication.k8s.io/v1", "selfsubjectreviews"),
    "SelfSubjectAccessReview": ("authorization.k8s.io/v1", "selfsubjectaccessreviews"),
}
_NO_JSON = (ValueError, RecursionError)
_CLUSTER_WIDE = {"Namespace", "StorageClass", "ProjectRequest", "SelfSubjectReview", "SelfSubjectAccessReview"}


@dataclass(frozen=True)
class Change:
    """One event of a watch: ADDED, MODIFIED or DELETED and the object, or LISTED, after the present ones were told."""

    type: str
    object: Object


class _Client(kr8s.Api):
    """kr8s with paude's own login and TLS trust, and without its /version check at the start."""

    access: ApiAccess

    async def _create_session(self) -> None:
        try:
            self._session = httpx.AsyncClient(
                base_url=self.access.server,
                headers={"User-Agent": "paude", "content-type": "application/json"},
                verify=self.access.ssl or True,
                timeout=TIMEOUT,
                proxy=self.access.proxy,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        except (ValueError, ImportError) as exc:  # a scheme that httpx does not know, or knows only with more packages
            raise SettingsError(
                "the proxy on the way to the cluster cannot be used",
                why=clean(str(exc)),
                hint="HTTPS_PROXY, ALL_PROXY or the kubeconfig's proxy-url: write http://HOST:PORT",
            ) from exc


@asynccontextmanager
async def connected(target: Target, paths: Paths) -> AsyncIterator[Cluster]:
    """A connection to `target`, checked with one request for the version.

    Raises LoginExpired, ConnectionLost or SettingsError; refuses Kubernetes before 1.29.
    """
    login, client = Login(target, paths), _Client(bypass_factory=True)
    client.access = await login.access()
    cluster = Cluster(login, client)
    try:
        await cluster.check_version()
        yield cluster
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            if client._session is not None:
                await client._session.aclose()


class Cluster:
    """One cluster, seen by one user, with one namespace as the default."""

    def __init__(self, login: Login, client: _Client) -> None:
        self.target = login.target
        self.tunnel = login.tunnel
        self._login = login
        self._client = client

    def __repr__(self) -> str:
        return f"<Cluster {self.target.server} namespace={self.target.namespace}>"

    @property
    def location(self) -> Location:
        """What pins it in a record."""
        target = self.target
        return Location(target.server, target.namespace, target.user, tuple(str(f) for f in target.files))

    @property
    def namespace(self) -> str:
        """The namespace in which everything of the session lives."""
        return self.target.namespace

    async def access(self, renew: bool = False) -> ApiAccess:
        """What a tunnel needs to open a WebSocket; `renew` reads the kubeconfig again first."""
        return await self._login.access(renew)

    async def check_version(self) -> None:
        """Refuse a cluster without native sidecars."""
        found = await self.request("GET", base="/version", version="", url="", doing="ask for the version")
        major, minor = (int("".join(c for c in str(found.get(k, "0")) if c.isdigit()) or 0) for k in ("major", "minor"))
        if (major, minor) < OLDEST:
            raise PaudeError(f"Kubernetes {major}.{minor} is too old: paude needs 1.29 (OpenShift 4.16) or newer")

    async def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none."""
        return await self._object("GET", kind, name, doing=f"read {kind} {name}", missing=True, namespace=namespace)

    async def list(self, kind: str, selector: str = "", *, all_namespaces: bool = False) -> list[Object]:
        """All objects of a kind that carry the labels of `selector`."""
        params = {"labelSelector": selector} if selector else {}
        doing = f"list {_KINDS[kind][1]}"
        answer = await self._object("GET", kind, "", doing=doing, params=params, wide=all_namespaces)
        assert answer is not None
        return [{"kind": kind, **item} for item in answer.get("items") or []]

    async def create(self, obj: Object) -> Object:
        """Create; raises status.Conflict when it exists."""
        answer = await self._object("POST", obj["kind"], "", doing=f"create {_named(obj)}", body=obj)
        assert answer is not None
        return answer

    async def apply(self, obj: Object) -> Object:
        """Server-side apply as `paude`; the answer carries metadata.uid and creationTimestamp.

        Forced, so that fields of an older paude are taken over: callers have checked the owner first.
        """
        answer = await self._object(
            "PATCH",
            obj["kind"],
            obj["metadata"]["name"],
            doing=f"apply {_named(obj)}",
            body=obj,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )
        assert answer is not None
        return answer

    async def merge(self, kind: str, name: str, patch: Object) -> Object:
        """A JSON merge patch."""
        answer = await self._object(
            "PATCH", kind, name, doing=f"change {kind} {name}", body=patch, content_type="application/merge-patch+json"
        )
        assert answer is not None
        return answer

    async def delete(
        self, kind: str, name: str, *, uid: str | None = None, version: str | None = None, grace_s: int | None = None
    ) -> bool:
        """Delete, if it is there; False when there was none.

        Raises status.Conflict when it is not the object with this uid, or was changed since this resourceVersion.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if version is not None:
            options.setdefault("preconditions", {})["resourceVersion"] = version
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        gone = await self._object("DELETE", kind, name, doing=f"delete {kind} {name}", body=options, missing=True)
        return gone is not None

    async def exists(self, version: str) -> bool:
        """Whether the cluster serves the API group version, for example `project.openshift.io/v1`."""
        response = await self._send("GET", base="/apis", version=version, url="")
        return response.status_code == 200

    async def watch(self, kind: str, *, name: str = "", selector: str = "") -> AsyncGenerator[Change, None]:
        """The objects as they are, then every change, until the caller stops.

        A watch that ends, breaks or has grown too old (410) is taken up again from a fresh list, after a pause with
        full jitter. Raises what the list raises: LoginExpired, Forbidden.
        """
        params: dict[str, str] = {}
        if selector:
            params["labelSelector"] = selector
        if name:
            params["fieldSelector"] = f"metadata.name={name}"
        failures = 0
        while True:
            begun = anyio.current_time()
            try:
                listed = await self._object("GET", kind, "", doing=f"list {_KINDS[kind][1]}", params=params)
                assert listed is not None
                for item in listed.get("items") or []:
                    yield Change("ADDED", {"kind": kind, **item})
                yield Change("LISTED", {})
                version = str(listed["metadata"]["resourceVersion"])
                async with aclosing(self._changes(kind, {**params, "resourceVersion": version})) as changes:
                    async for change in changes:
                        yield change
            except ConnectionLost:
                pass
            # Whoever ends watches at once, be it a server or something on the way, is not asked without pause.
            failures = 0 if anyio.current_time() - begun > _STEADY_S else failures + 1
            await anyio.sleep(random.uniform(0.05, min(5.0, 0.2 * 2 ** min(failures, 6))))

    async def _changes(self, kind: str, params: Mapping[str, str]) -> AsyncGenerator[Change, None]:
        """One watch request; ends when the server ends it, on 410, or when it has been silent for too long."""
        version, plural = _KINDS[kind]
        query = {**params, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
        where = None if kind in _CLUSTER_WIDE else self.namespace
        try:
            async with self._client.call_api(
                "GET",
                version=version,
                url=plural,
                namespace=where,
                params=query,
                stream=True,
                raise_for_status=False,
                headers=dict((await self.access()).headers),
                timeout=httpx.Timeout(TIMEOUT.connect, read=WATCH_S + 30),
            ) as response:
                if response.status_code == 403:
                    await response.aread()
                    _answer(response, f"watch {plural}")
                if response.status_code != 200:
                    raise ConnectionLost(f"the watch of {plural} was refused", why=f"HTTP {response.status_code}")
                async for line in response.aiter_lines():
                    type_, obj = _event(line)
                    if type_ == "ERROR":
                        return
                    if type_ != "BOOKMARK":
                        yield Change(type_, {"kind": kind, **obj})
        except (httpx.HTTPError, kr8s.APITimeoutError) as exc:
            raise ConnectionLost(f"the watch of {plural} broke off", why=str(exc)) from exc

    async def lines(self, url: str, params: Mapping[str, str], *, doing: str) -> AsyncGenerator[str, None]:
        """The lines of an answer that is text and may go on for long."""
        where: dict[str, Any] = {"version": "v1", "namespace": self.namespace, "url": url, "params": dict(params)}
        headers = dict((await self.access()).headers)
        timeout = httpx.Timeout(TIMEOUT.connect, read=None)
        try:
            async with self._client.call_api(
                "GET", stream=True, raise_for_status=False, timeout=timeout, headers=headers, **where
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    _answer(response, doing)
                async for line in response.aiter_lines():
                    yield line
        except (httpx.HTTPError, kr8s.APITimeoutError, ssl.SSLError) as exc:
            raise _unreachable(self.target.server, exc) from exc

    async def _object(
        self,
        method: str,
        kind: str,
        name: str,
        *,
        doing: str,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        missing: bool = False,
        wide: bool = False,
        namespace: str | None = None,
        content_type: str = "application/json",
    ) -> Object | None:
        version, plural = _KINDS[kind]
        scope = None if wide or kind in _CLUSTER_WIDE else (namespace or self.namespace)
        response = await self._send(
            method,
            version=version,
            url=f"{plural}/{name}" if name else plural,
            namespace=scope,
            params=dict(params or {}),
            content=json.dumps(body) if body is not None else None,
            headers={"Content-Type": content_type},
        )
        if response.status_code == 404 and missing:
            return None
        return _answer(response, doing)

    async def request(self, method: str, *, doing: str, **where: Any) -> Object:
        """Any other request; `where` is what `kr8s.Api.call_api` takes."""
        return _answer(await self._send(method, **where), doing)

    async def _send(self, method: str, **where: Any) -> httpx.Response:
        response = await self._once(await self.access(), method, **where)
        if response.status_code == 401:
            response = await self._once(await self.access(renew=True), method, **where)
        return response

    async def _once(
        self, access: ApiAccess, method: str, headers: Mapping[str, str] = MappingProxyType({}), **where: Any
    ) -> httpx.Response:
        told = {**headers, **access.headers}
        try:
            # Not kr8s' own raise_for_status: it begins anew three times for every plain 403.
            async with self._client.call_api(method, raise_for_status=False, headers=told, **where) as response:
                return response
        except (httpx.TimeoutException, kr8s.APITimeoutError) as exc:
            raise ConnectionLost(f"{self.target.server} does not answer", hint="check the network and the VPN") from exc
        except (httpx.HTTPError, ssl.SSLError) as exc:
            raise _unreachable(self.target.server, exc) from exc


def _event(line: str) -> tuple[str, Object]:
    """Type and object of a line of a watch; ConnectionLost for another line: something on the way may have said it."""
    try:
        event = json.loads(line)
        return str(event["type"]), dict(event["object"])
    except (*_NO_JSON, LookupError, TypeError) as exc:
        raise ConnectionLost("the watch broke off", why="what came is no event of a Kubernetes API") from exc


def _answer(response: httpx.Response, doing: str) -> Object:
    try:
        body = response.json()
    except _NO_JSON:
        body = None
    if response.status_code < 300:
        if isinstance(body, dict):
            return body
        raise PaudeError(f"cannot {doing}", why="the answer is not JSON: is this the address of a Kubernetes API?")
    raise status.error(response.status_code, body if isinstance(body, dict) else None, doing)


def _named(obj: Mapping[str, Any]) -> str:
    return f"{obj['kind']} {obj['metadata'].get('name', '')}".strip()


def _unreachable(server: str, exc: Exception) -> PaudeError:
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return SettingsError(
            f"the certificate of {server} is not trusted",
            why=str(exc),
            hint="put the cluster's CA into the kubeconfig (certificate-authority-data) or into the system's store",
        )
    return ConnectionLost(f"{server} cannot be reached", why=str(exc), hint="check the network and the VPN")
