"""A registry, spoken to over HTTPS with verification always on; and what it has, in one request where it can be."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from paude import process
from paude.errors import Forbidden, ImageError, LoginExpired, PaudeError, QuotaExceeded, SettingsError
from paude.images.reference import ImageReference, Login, RegistryTarget, is_digest
from paude.images.way import through

Content: TypeAlias = Callable[[], AsyncIterator[bytes]] | bytes | None

TIMEOUT_S = 15.0
_NOBODY = httpx.USE_CLIENT_DEFAULT
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_ACCEPTED = {"Accept": _ACCEPT}
_AGENT = {"User-Agent": "paude"}
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
_LARGEST_ANSWER = 256 * 1024
WITHOUT_ROUTE = "name another registry with --registry, or ask the administrators to expose the registry's route"
"""What to do where a cluster's own registry has only its inner name."""
# ENOSPC, in words or as docker's registry writes it.
_FULL = re.compile(r"no space left|'Err': 28\b|disk quota", re.IGNORECASE)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The system's store and `ca_file` beside it, as podman trusts them too. Raises SettingsError for a bad file."""
    try:
        changed = ca_file.stat().st_mtime_ns if ca_file else 0
        return _trust(ca_file, changed)
    except (OSError, ssl.SSLError) as exc:
        raise SettingsError(f"the CA file {ca_file} cannot be used", why=str(exc)) from exc


@lru_cache(maxsize=8)
def _trust(ca_file: Path | None, changed: int) -> ssl.SSLContext:
    # Reading the system's store takes longer than the request: once per process is enough.
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


@asynccontextmanager
async def connected(target: RegistryTarget) -> AsyncIterator[Registry]:
    """The registry of the target; what fails on the way there is raised as ImageError (TLS, unreachable)."""
    verify = trust(target.ca_file)
    transport = through(target.way, verify) if target.way else None
    try:
        async with httpx.AsyncClient(verify=verify, timeout=TIMEOUT_S, headers=_AGENT, transport=transport) as client:
            yield Registry(client, target.host, target.login)
    except httpx.HTTPError as exc:
        raise unreachable(target.host, exc) from exc


class Registry:
    """One registry, spoken to as one user: by name and password, or by a token that it wants instead."""

    def __init__(self, client: httpx.AsyncClient, host: str, login: Login | None) -> None:
        self.host = host
        self._client = client
        self._basic = httpx.BasicAuth(login.user, login.password) if login else None
        self._tokens: dict[tuple[str, ...], str] = {}
        self._origin = httpx.URL(f"https://{'registry-1.docker.io' if host == 'docker.io' else host}")

    async def ask(
        self,
        method: str,
        place: str | httpx.URL,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        content: Content = None,
        patience: float = TIMEOUT_S,
    ) -> httpx.Response:
        """One request, for a path or for an address that the registry named, with the rights of `scopes`.

        Where the registry wants a token of its own, that is fetched, and the request made again with `content` anew.
        `patience` is how many seconds an answer may take.
        Raises LoginExpired or ImageError where there is no token, httpx.HTTPError where the network fails.
        """
        url = self._origin.join(place)
        if url.scheme != "https":
            raise ImageError(f"{self.host} leads to {str(url)[:100]!r}", why="that is not HTTPS")
        once = partial(self._once, method, url, scopes, headers or {}, content, patience)
        answer = await once()
        challenge = bearer_challenge(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code == httpx.codes.UNAUTHORIZED and challenge is not None and self._is_home(url):
            self._tokens[scopes] = await self._token(challenge, scopes)
            answer = await once()
        return answer

    async def _once(
        self,
        method: str,
        url: httpx.URL,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        content: Content,
        patience: float,
    ) -> httpx.Response:
        body = content() if callable(content) else content
        # An address elsewhere (a store behind the registry) carries its own permission: it learns nothing of the login.
        token = self._tokens.get(scopes) if self._is_home(url) else None
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        basic = self._basic if self._is_home(url) and not token else None
        timeout = httpx.Timeout(TIMEOUT_S, read=patience, pool=None)
        return await self._client.request(
            method, url, headers={**headers, **bearer}, auth=basic or _NOBODY, content=body, timeout=timeout
        )

    def _is_home(self, url: httpx.URL) -> bool:
        return (url.host, url.port) == (self._origin.host, self._origin.port)

    async def _token(self, challenge: Mapping[str, str], scopes: tuple[str, ...]) -> str:
        realm = challenge["realm"]
        if urlsplit(realm).scheme != "https":
            raise ImageError(f"{self.host} sends logins to {realm[:100]!r}", why="that is not HTTPS")
        wanted: dict[str, str | list[str]] = {"scope": list(scopes)}
        if challenge.get("service"):
            wanted["service"] = challenge["service"]
        answer = await self._client.get(realm, params=wanted, auth=self._basic or _NOBODY)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise _not_logged_in(self.host, known=self._basic is not None)
        return _token_of(self.host, answer)

    def refusal(self, name: str, answer: httpx.Response, right: str) -> PaudeError:
        """What an answer about an image means that is not the one hoped for; `right` is what the user would need."""
        status, said = answer.status_code, _said(answer)
        why = f"status {status}" + (f": {said}" if said else "")
        if re.search(r"quota", said, re.IGNORECASE):
            hint = "delete images that are no longer used, or ask for more quota"
            return QuotaExceeded(f"{self.host} takes no more of {name}", why=why, hint=hint)
        if status == httpx.codes.INSUFFICIENT_STORAGE or _FULL.search(said):
            return ImageError(f"{self.host} has no room for {name}", why=why, hint=f"make room on {self.host}")
        # The token's giver knew the user: what is still missing is a right, not a login.
        if status == httpx.codes.UNAUTHORIZED and not (self._tokens and self._basic):
            return _not_logged_in(self.host, known=self._basic is not None)
        if status in (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED):
            return Forbidden(
                f"{self.host} refuses {name}",
                why=f"the user may not {right} it ({why})",
                hint="ask for the right to push and pull there, or name another place by `--registry`",
            )
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            hint = f"what stands before {self.host} limits the size of a request: ask its administrators"
            return ImageError(f"{self.host} does not take so large a part of {name}", why=why, hint=hint)
        return ImageError(
            f"{self.host} does not answer like a registry", why=why, hint="check the name given by `--registry`"
        )


async def present(reference: ImageReference, target: RegistryTarget) -> str | None:
    """The digest of the image in the registry, None when it is not there.

    One request when the registry takes the login as it is; three when it wants a token of its own first.
    Raises LoginExpired (401), Forbidden (403), ImageError (TLS, unreachable, no registry).
    """
    known = target.known.get(f"{reference.repository}:{reference.tag}", "")
    if is_digest(known):
        return known
    async with connected(target) as registry:
        return await digest_of(registry, reference)


async def digest_of(registry: Registry, reference: ImageReference) -> str | None:
    """The digest under which the registry has the image, None when it has not. Raises as `present`."""
    place = f"/v2/{reference.repository}/manifests/{reference.tag}"
    answer = await registry.ask("HEAD", place, (f"repository:{reference.repository}:pull",), headers=_ACCEPTED)
    digest: str = answer.headers.get("Docker-Content-Digest", "")
    if answer.status_code == httpx.codes.OK and is_digest(digest):
        return digest
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    raise registry.refusal(reference.repository, answer, "read")


def _said(answer: httpx.Response) -> str:
    """The registry's own words, as the distribution specification has them: safe to show, and not many."""
    try:
        errors = json.loads(answer.content[:_LARGEST_ANSWER])["errors"]
        words = "; ".join(f"{one.get('message') or one.get('code')} {one.get('detail') or ''}" for one in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        words = ""
    return " ".join(process.clean(words).split())[:300]


def bearer_challenge(header: str) -> dict[str, str] | None:
    """The parameters of a Bearer challenge with a realm; None when the header holds none."""
    _, scheme, rest = header.partition("Bearer ")
    if not scheme:
        return None
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return found if found.get("realm") else None


def _token_of(host: str, answer: httpx.Response) -> str:
    try:
        found = answer.json() if answer.is_success and len(answer.content) <= _LARGEST_ANSWER else None
    except ValueError:
        found = None
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ImageError(f"{host} gives no token", why=f"its token service answered {answer.status_code}")
    return token


def _not_logged_in(host: str, *, known: bool) -> LoginExpired:
    if known:
        return LoginExpired(
            f"{host} does not accept the login", why="wrong, or no longer valid", hint=f"log in to {host} again"
        )
    return LoginExpired(f"{host} wants a login", hint=f"log in with `podman login {host}`")


def unreachable(host: str, exc: httpx.HTTPError) -> PaudeError:
    """What it means that no answer came."""
    text = str(exc)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return ImageError(
            f"the certificate of {host} is not trusted",
            why=text.partition("CERTIFICATE_VERIFY_FAILED] ")[2] or text,
            hint=f"name the CA of {host} by `--registry-ca FILE`, or add it to the system's store",
        )
    if "SSL" in text:
        return ImageError(f"{host} does not speak TLS as it should", why=text, hint="paude uses TLS only")
    why = "no answer in time" if isinstance(exc, httpx.TimeoutException) else text or type(exc).__name__
    hint = WITHOUT_ROUTE if host.partition(":")[0].endswith(".svc") else "check the name and the network"
    return ImageError(f"the registry {host} cannot be reached", why=why, hint=hint)
