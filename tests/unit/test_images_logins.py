"""Logins for registries, as podman and docker keep them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.errors import CommandFailed, Forbidden, ImageError, LoginExpired, PaudeError, QuotaExceeded, SettingsError
from paude.images.logins import auth_file, dockerconfigjson, find
from paude.images.podman import push_failure
from paude.images.reference import Login

pytestmark = pytest.mark.anyio
CANARY = "canary-c0ffee"


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def kept(tmp_path: Path, content: Any) -> dict[str, str]:
    file = tmp_path / "auth.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return {"REGISTRY_AUTH_FILE": str(file), "PATH": os.environ["PATH"]}


async def test_the_most_specific_entry_counts(tmp_path: Path) -> None:
    entries = {"r.test:5000": auth("host", "1"), "r.test:5000/team": auth("team", "2"), "other.test": auth("x", "3")}
    environ = kept(tmp_path, {"auths": entries})

    assert await find("r.test:5000/team/x", environ) == Login("team", "2")
    assert await find("r.test:5000/teammate", environ) == Login("host", "1")
    assert await find("r.test", environ) is None


@pytest.mark.parametrize("key", ["r.test", "https://r.test", "https://r.test/v1/", "https://r.test/v2/"])
async def test_the_spellings_of_docker_are_known(key: str, tmp_path: Path) -> None:
    assert await find("r.test/a", kept(tmp_path, {"auths": {key: auth("me", "a:b")}})) == Login("me", "a:b")


async def test_the_files_are_looked_at_in_podmans_order(tmp_path: Path) -> None:
    places = [tmp_path / "run/containers/auth.json", tmp_path / ".config/containers/auth.json",
              tmp_path / ".docker/config.json"]  # fmt: skip
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    for number, place in reversed(list(enumerate(places))):
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"auths": {"r.test": auth("me", str(number))}}))
        assert await find("r.test", environ) == Login("me", str(number))


async def test_a_credential_helper_is_asked(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread -r server\n[ "$server" = r.test ] && echo "{\\"Username\\":\\"me\\",'
                      '\\"Secret\\":\\"$SECRET\\"}" || exit 1\n')  # fmt: skip
    helper.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    for content in ({"credsStore": "test"}, {"credHelpers": {"r.test": "test"}}):
        environ = {**kept(tmp_path, content), "PATH": path, "SECRET": CANARY}
        assert await find("r.test/a", environ) == Login("me", CANARY)
        assert await find("other.test", environ) is None


@pytest.mark.parametrize("helper", ["../../bin/sh", "missing", "", "a b", 3])
async def test_a_helper_that_is_none_is_passed_over(helper: object, tmp_path: Path) -> None:
    assert await find("r.test", kept(tmp_path, {"credsStore": helper})) is None


@pytest.mark.parametrize("content", [b"{", b"[]", CANARY.encode(), b"\xff", b'"' + b"x" * 2_000_000 + b'"'])
async def test_a_broken_file_is_said_to_be_so_and_not_quoted(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        await find("r.test", kept(tmp_path, content))

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{}", {"auths": []}, {"auths": {"r.test": 1}}, {"auths": {"r.test": {"auth": "%"}}},
                {"auths": {"r.test": {"auth": ""}}}, {"auths": {"r.test": auth("", "x")}}]
)  # fmt: skip
async def test_an_entry_without_a_login_is_none(content: Any, tmp_path: Path) -> None:
    assert await find("r.test", kept(tmp_path, content)) is None


async def test_without_files_there_is_no_login(tmp_path: Path) -> None:
    assert await find("r.test", {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}) is None


WORDS = st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable())


@pytest.mark.parametrize("form", [auth_file, dockerconfigjson])
@pytest.mark.parametrize("host", ["r.test:5000", "docker.io"])
@settings(max_examples=20, deadline=None)
@given(user=WORDS.filter(lambda text: ":" not in text), password=WORDS)
async def test_what_is_written_is_found_again(
    form: Any, host: str, user: str, password: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("login")

    assert await find(host, kept(directory, form(Login(user, password), host))) == Login(user, password)


@pytest.mark.parametrize(
    ("stderr", "error", "word"),
    [
        ('Error: writing blob: initiating layer upload to /v2/x/ in r.test: unauthorized: authentication required',
         LoginExpired, "log in"),
        ("Error: trying to reuse blob: checking whether a blob sha256:x exists: denied: requested access", Forbidden,
         "right to push"),
        ("Error: pinging r.test: Get: x509: certificate signed by unknown authority", ImageError, "CA"),
        ("Error: pinging r.test: http: server gave HTTP response to HTTPS client", ImageError, "TLS"),
        ("Error: writing manifest: denied: exceeded quota: images", QuotaExceeded, "quota"),
        ("Error: writing blob: write /var/tmp/x: no space left on device", ImageError, "room"),
        ("Error: dial tcp 127.0.0.1:1: connect: connection refused", ImageError, "reached"),
        ("Error: something nobody thought of", ImageError, ""),
    ],
)  # fmt: skip
def test_every_complaint_of_a_push_has_its_meaning(stderr: str, error: type[PaudeError], word: str) -> None:
    found = push_failure("x cannot be pushed", "r.test", CommandFailed(("podman", "push"), 125, stderr))

    assert type(found) is error
    assert word in found.hint
    assert found.why
    assert not found.why.startswith("Error:")
