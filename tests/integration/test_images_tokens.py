"""A registry that wants a token of its own first, as OpenShift's and the public ones do: a real one, a real token."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from paude.errors import Forbidden, ImageError, LoginExpired
from paude.images.build import BuildSettings
from paude.images.context import ImageSpec, Source
from paude.images.ensure import ensure
from paude.images.registry import bearer_challenge, present
from registry_server import PASSWORD, USER, Registry, authority, serving

pytestmark = [pytest.mark.podman, pytest.mark.anyio]
SERVICE, ISSUER = "test-service", "test-issuer"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenGiver(BaseHTTPRequestHandler):
    """Gives whoever knows the password a signed token; rights only below `team/`."""

    directory: Path

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_error(401)
            return
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        body = json.dumps({"token": self._token([self._access(scope) for scope in scopes])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _access(self, scope: str) -> dict[str, object]:
        kind, name, actions = scope.split(":")
        return {"type": kind, "name": name, "actions": actions.split(",") if name.startswith("team/") else []}

    def _token(self, access: list[dict[str, object]]) -> str:
        certificate = (self.directory / "server.crt").read_text()
        der = base64.b64encode(ssl.PEM_cert_to_DER_cert(certificate)).decode()
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "iat": now, "nbf": now - 5, "exp": now + 300}
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [der]}, {**claims, "jti": "1", "access": access}]
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        key = serialization.load_pem_private_key((self.directory / "server.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return f"{signed}.{encoded(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    directory = tmp_path_factory.mktemp("tokens")
    authority(directory)
    handler = type("Giver", (TokenGiver,), {"directory": directory})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    auth = (
        f"  token:\n    realm: https://localhost:{server.server_address[1]}/token\n    service: {SERVICE}\n"
        f"    issuer: {ISSUER}\n    rootcertbundle: {directory}/ca.crt"
    )
    try:
        with serving(directory, auth) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def image() -> Iterator[ImageSpec]:
    text = f"FROM scratch\nCOPY a /a\nLABEL x={time.monotonic_ns()}\n".encode()
    yield ImageSpec("paude-test-token", (Source("Containerfile", text=text), Source("a", text=b"a")), base="scratch")
    listed = ["podman", "images", "-q", "--filter", "reference=localhost/paude-test-token"]
    found = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["podman", "rmi", "--force", *found], check=False, capture_output=True)


@pytest.fixture
def settings(tmp_path: Path) -> BuildSettings:
    return BuildSettings(cache=tmp_path / "cache")


async def test_a_login_is_changed_into_a_token(registry: Registry, image: ImageSpec, settings: BuildSettings) -> None:
    pushed = await ensure(image, registry.target(), settings)

    assert await ensure(image, registry.target(), settings) == pushed


async def test_a_wrong_password_is_a_login_that_expired(registry: Registry) -> None:
    with pytest.raises(LoginExpired, match="does not accept"):
        await present(registry.target().reference("x", "y"), registry.target(password="wrong"))
    with pytest.raises(LoginExpired, match="wants a login"):
        await present(registry.target().reference("x", "y"), replace(registry.target(), login=None))


async def test_a_known_user_without_the_right_is_forbidden(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    elsewhere = replace(registry.target(), host_and_path=f"{registry.address}/other")

    with pytest.raises(Forbidden) as caught:
        await ensure(image, elsewhere, settings)

    assert "other/paude-test-token" in str(caught.value)


class Liar(BaseHTTPRequestHandler):
    """Answers like no registry does."""

    def do_HEAD(self) -> None:
        kind = self.path.rpartition("/")[2]
        self.send_response({"page": 200, "moved": 302, "busy": 429, "broken": 500, "plain": 401}[kind])
        self.send_header("Location", "https://elsewhere.test/")
        if kind == "plain":
            self.send_header("WWW-Authenticate", 'Bearer realm="http://localhost:1/token"')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("kind", ["page", "moved", "busy", "broken", "plain"])
async def test_what_does_not_answer_like_a_registry_is_none(kind: str, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    target = Registry(f"localhost:{server.server_address[1]}", ca, None).target()  # type: ignore[arg-type]

    try:
        with pytest.raises(ImageError) as caught:
            await present(target.reference("x", kind), target)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert PASSWORD not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="s",scope="x:y:pull,push"',
         {"realm": "https://a/t", "service": "s", "scope": "x:y:pull,push"}),
        ('Basic realm="a"', None), ("", None), ("Bearer ", None), ('Bearer service="s"', None),
        ('Basic realm="a", Bearer realm="https://b"', {"realm": "https://b"}),
        ("Bearer realm=https://b", {"realm": "https://b"}),
    ],
)  # fmt: skip
def test_a_challenge_is_read_for_what_it_asks(header: str, expected: dict[str, str] | None) -> None:
    assert bearer_challenge(header) == expected
