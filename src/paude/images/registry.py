"""What a registry has, asked over HTTPS with verification always on: one request when it takes our login at once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from paude.errors import Forbidden, ImageError, LoginExpired, PaudeError, SettingsError
from paude.images.reference import ImageReference, Login, is_digest

TIMEOUT_S = 15.0
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_HEADERS = {"Accept": _ACCEPT, "User-Agent": "paude"}
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
_LARGEST_TOKEN_ANSWER = 256 * 1024


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


async def present(reference: ImageReference, login: Login | None, ca_file: Path | None) -> str | None:
    """The digest of the image in the registry, None when it is not there.

    One request when the registry takes the login as it is; three when it wants a token of its own first.
    Raises LoginExpired (401), Forbidden (403), ImageError (TLS, unreachable, no registry).
    """
    basic = httpx.BasicAuth(login.user, login.password) if login else None
    try:
        async with httpx.AsyncClient(verify=trust(ca_file), timeout=TIMEOUT_S) as client:
            answer = await client.head(_url(reference), headers=_HEADERS, auth=basic or httpx.USE_CLIENT_DEFAULT)
            challenge = bearer_challenge(answer.headers.get("WWW-Authenticate", ""))
            if answer.status_code != httpx.codes.UNAUTHORIZED or challenge is None:
                return _digest(reference, answer, known=basic is not None)
            token = await _token(client, reference, challenge, basic)
            answer = await client.head(_url(reference), headers={**_HEADERS, "Authorization": f"Bearer {token}"})
            # The token's giver knew the user: what is still missing is a right, not a login.
            return _digest(reference, answer, known=basic is not None, trusted=basic is not None)
    except httpx.HTTPError as exc:
        raise _unreachable(reference.host, exc) from exc


def _url(reference: ImageReference) -> str:
    host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
    return f"https://{host}/v2/{reference.repository}/manifests/{reference.tag}"


async def _token(
    client: httpx.AsyncClient, reference: ImageReference, challenge: Mapping[str, str], basic: httpx.BasicAuth | None
) -> str:
    realm = challenge["realm"]
    if urlsplit(realm).scheme != "https":
        raise ImageError(f"{reference.host} sends logins to {realm[:100]!r}", why="that is not HTTPS")
    query = {"scope": challenge.get("scope") or f"repository:{reference.repository}:pull"}
    if challenge.get("service"):
        query["service"] = challenge["service"]
    answer = await client.get(realm, params=query, auth=basic or httpx.USE_CLIENT_DEFAULT)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise _not_logged_in(reference.host, known=basic is not None)
    return _token_of(reference.host, answer)


def bearer_challenge(header: str) -> dict[str, str] | None:
    """The parameters of a Bearer challenge with a realm; None when the header holds none."""
    _, scheme, rest = header.partition("Bearer ")
    if not scheme:
        return None
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return found if found.get("realm") else None


def _token_of(host: str, answer: httpx.Response) -> str:
    try:
        found = answer.json() if answer.is_success and len(answer.content) <= _LARGEST_TOKEN_ANSWER else None
    except ValueError:
        found = None
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ImageError(f"{host} gives no token", why=f"its token service answered {answer.status_code}")
    return token


def _digest(reference: ImageReference, answer: httpx.Response, *, known: bool, trusted: bool = False) -> str | None:
    status, host = answer.status_code, reference.host
    digest: str = answer.headers.get("Docker-Content-Digest", "")
    if status == httpx.codes.OK and is_digest(digest):
        return digest
    if status == httpx.codes.NOT_FOUND:
        return None
    if status == httpx.codes.UNAUTHORIZED and not trusted:
        raise _not_logged_in(host, known=known)
    if status in (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED):
        raise Forbidden(
            f"{host} refuses {reference.repository}",
            why="the user may not read it",
            hint="ask for the right to push and pull there, or name another place by `--registry`",
        )
    raise ImageError(
        f"{host} does not answer like a registry", why=f"status {status}", hint="check the name given by `--registry`"
    )


def _not_logged_in(host: str, *, known: bool) -> LoginExpired:
    if known:
        return LoginExpired(
            f"{host} does not accept the login", why="wrong, or no longer valid", hint=f"log in to {host} again"
        )
    return LoginExpired(f"{host} wants a login", hint=f"log in with `podman login {host}`")


def _unreachable(host: str, exc: httpx.HTTPError) -> PaudeError:
    text = str(exc)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return ImageError(
            f"the certificate of {host} is not trusted",
            why=text.partition("CERTIFICATE_VERIFY_FAILED] ")[2] or text,
            hint=f"name the CA of {host} by `--registry-ca FILE`, or add it to the system's store",
        )
    if "SSL" in text:
        return ImageError(f"{host} does not speak TLS as it should", why=text, hint="paude uses TLS only")
    why = f"no answer within {TIMEOUT_S:.0f} s" if isinstance(exc, httpx.TimeoutException) else text
    return ImageError(f"the registry {host} cannot be reached", why=why, hint="check the name and the network")
