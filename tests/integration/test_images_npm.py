"""Files out of packages of npm: the real npm, against a small registry on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import stat
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paude.errors import ImageError
from paude.images.npm import NpmFile, fetch

pytestmark = pytest.mark.anyio
CONTENT = b"\x7fELF a program"


def package() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in (
            ("package/package.json", b'{"name":"@t/tool","version":"1.0.0"}'),
            ("package/tool", CONTENT),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    """One package, in an honest version and in one whose content is not what was promised."""

    asked: list[str]
    tarball = package()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith(".tgz"):
            self._answer(200, self.tarball)
        elif self.path.lower() == "/@t%2ftool":
            self._answer(200, json.dumps(self._described()).encode())
        else:
            self._answer(404, b"{}")

    def _described(self) -> dict[str, object]:
        versions = {}
        for version, content in (("1.0.0", self.tarball), ("6.6.6", b"something else")):
            integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
            url = f"http://{self.headers['Host']}/tool-{version}.tgz"
            versions[version] = {
                "name": "@t/tool", "version": version, "dist": {"tarball": url, "integrity": integrity}
            }  # fmt: skip
        return {"name": "@t/tool", "dist-tags": {"latest": "1.0.0"}, "versions": versions}

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"asked": seen}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    yield seen
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_file_is_fetched_once_and_can_be_run(asked: list[str], tmp_path: Path) -> None:
    wanted = NpmFile("@t/tool", "1.0.0", "package/tool")

    found = await fetch(wanted, tmp_path / "cache")
    requests = len(asked)

    assert found.read_bytes() == CONTENT
    assert stat.S_IMODE(found.stat().st_mode) == 0o755
    assert await fetch(wanted, tmp_path / "cache") == found
    assert len(asked) == requests
    assert [p.name for p in found.parent.iterdir()] == ["tool"]


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (NpmFile("@t/tool", "6.6.6", "package/tool"), "EINTEGRITY"),
        (NpmFile("@t/tool", "2.0.0", "package/tool"), "2.0.0"),
        (NpmFile("@t/none", "1.0.0", "package/tool"), "404"),
        (NpmFile("@t/tool", "1.0.0", "package/absent"), "absent"),
    ],
)
async def test_what_cannot_be_had_leaves_nothing(wanted: NpmFile, word: str, asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        await fetch(wanted, tmp_path / "cache")

    assert word in str(caught.value)
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


async def test_without_npm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ImageError) as caught:
        await fetch(NpmFile("@t/tool", "1.0.0", "package/tool"), tmp_path)

    assert "npm" in caught.value.hint
    assert caught.value.exit_code == 8
