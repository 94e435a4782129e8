"""Logins for registries, as podman and docker keep them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.errors import Forbidden, ImageError, LoginExpired, PaudeError, QuotaExceeded, SettingsError
from paude.images.logins import dockerconfigjson, find
from paude.images.reference import Login
from paude.images.registry import Registry

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


@pytest.mark.parametrize("host", ["r.test:5000", "docker.io"])
@settings(max_examples=20, deadline=None)
@given(user=WORDS.filter(lambda text: ":" not in text), password=WORDS)
async def test_what_is_written_is_found_again(
    host: str, user: str, password: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("login")

    assert await find(host, kept(directory, dockerconfigjson(Login(user, password), host))) == Login(user, password)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "why", "hint"),
    [
        (401, "", LoginExpired, 7, "no longer valid", "log in to r.test again"),
        (403, '{"errors": [{"code": "DENIED", "message": "requested access is denied"}]}',
         Forbidden, 6, "may not push it (status 403: requested access is denied)", "ask for the right to push"),
        (403, '{"errors": [{"code": "DENIED", "message": "exceeded quota: images"}]}',
         QuotaExceeded, 6, "exceeded quota: images", "ask for more quota"),
        (500, '{"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": {"Op": "write", "Err": 28}}]}',
         ImageError, 8, "r.test has no room for x", "make room on r.test"),
        (507, "", ImageError, 8, "r.test has no room for x", "make room on r.test"),
        (413, "<html>", ImageError, 8, "status 413", "limits the size of a request"),
        (500, "<html>", ImageError, 8, "status 500", "check the name"),
        (400, '{"errors": "x"}', ImageError, 8, "status 400", "check the name"),
        (400, '{"errors": [{"code": "\\u001b[31mred"}]}', ImageError, 8, "status 400: red", "check the name"),
    ],
)  # fmt: skip
async def test_what_a_registry_refuses_is_told_with_the_remedy(
    status: int, body: str, kind: type[PaudeError], code: int, why: str, hint: str
) -> None:
    async with httpx.AsyncClient() as client:
        registry = Registry(client, "r.test", Login("u", CANARY))
        found = registry.refusal("x", httpx.Response(status, text=body), "push")

    assert (type(found), found.exit_code) == (kind, code)
    assert why in f"{found}"
    assert hint in (found.hint or "")
