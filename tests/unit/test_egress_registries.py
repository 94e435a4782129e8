"""The registries of the developer's own clients, from the files that those clients read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paude.egress import registries
from paude.egress.allowlist import Allowlist
from paude.egress.registries import Registry

FILES = {
    ".npmrc": "registry=https://npm.corp.test/x/\n@team:registry=https://team.corp.test\n//npm.corp.test/:_authToken=s3cret\n",
    ".config/pip/pip.conf": "[global]\nindex-url = https://user:s3cret@py.corp.test/simple\n"
    "extra-index-url =\n  https://py2.corp.test/simple\n  http://plain.corp.test/simple\n",
    ".config/uv/uv.toml": '[[index]]\nurl = "https://uv.corp.test/simple"\n[pip]\nindex-url = "https://uvpip.corp.test"\n',
    ".m2/settings.xml": "<settings xmlns='urn:x'><mirrors><mirror><url>https://mvn.corp.test/m</url></mirror></mirrors>"
    "<profiles><profile><repositories><repository><url>https://mvn2.corp.test:8443/</url></repository></repositories>"
    "</profile></profiles></settings>",
    ".gradle/init.d/mirror.gradle": "allprojects { repositories { maven { url 'https://gradle.corp.test/m' } } }\n"
    "// url 'https://old.corp.test'\n",
    ".config/go/env": "GOPROXY=https://go.corp.test|https://go2.corp.test,direct\n",
    ".cargo/config.toml": '[source.crates-io]\nreplace-with = "m"\n[source.m]\nregistry = "sparse+https://cargo.corp.test/i/"\n'
    '[registries.own]\nindex = "https://${CORP}/index"\n',
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def by_client(found: tuple[Registry, ...]) -> dict[str, set[str]]:
    hosts: dict[str, set[str]] = {}
    for one in found:
        if not one.why_not:
            hosts.setdefault(one.client, set()).add(one.host)
    return hosts


async def test_every_client_is_read_and_no_secret_goes_along(home: Path) -> None:
    found = await registries.configured({"CORP": "own.corp.test", "PATH": "/nonexistent"}, home)
    assert by_client(found) == {
        "npm": {"npm.corp.test", "team.corp.test"},
        "pip": {"py.corp.test", "py2.corp.test"},
        "uv": {"uv.corp.test", "uvpip.corp.test"},
        "Maven": {"mvn.corp.test"},
        "Gradle": {"gradle.corp.test"},
        "Go": {"go.corp.test", "go2.corp.test"},
        "cargo": {"cargo.corp.test", "own.corp.test"},
    }
    assert {one.host: one.why_not for one in found if one.why_not} == {
        "plain.corp.test": "it is not HTTPS",
        "mvn2.corp.test": "it is at port 8443, and only 443 is let through",
    }
    assert "s3cret" not in repr(found)


async def test_variables_count_as_the_clients_count_them(tmp_path: Path) -> None:
    environ = {
        "NPM_CONFIG_REGISTRY": "https://npm.env.test",
        "PIP_EXTRA_INDEX_URL": "https://a.env.test/s https://b.env.test/s",
        "UV_DEFAULT_INDEX": "https://uv.env.test",
        "GOPROXY": "https://go.env.test,off",
        "CARGO_REGISTRIES_OWN_INDEX": "sparse+https://cargo.env.test/",
        "PATH": "/nonexistent",
    }
    assert by_client(await registries.configured(environ, tmp_path)) == {
        "npm": {"npm.env.test"},
        "pip": {"a.env.test", "b.env.test"},
        "uv": {"uv.env.test"},
        "Go": {"go.env.test"},
        "cargo": {"cargo.env.test"},
    }


async def test_where_nothing_is_set_the_client_itself_is_asked(tmp_path: Path) -> None:
    """And nobody is asked from inside a project, whose settings are not the user's."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOFLAGS": "", "GOPROXY": ""}
    (tmp_path / "project").mkdir()
    (tmp_path / "project/.npmrc").write_text("registry=https://planted.test\n")
    found = await registries.configured(environ, tmp_path)
    assert {one.origin for one in found} <= {"`npm config get registry`", "`go env GOPROXY`", "/etc/pip.conf"}
    assert "planted.test" not in {one.host for one in found}
    assert [one for one in found if one.client == "Go"]


async def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xfe[[[<<<= https://\n" * 3)
    assert await registries.configured({"PATH": "/nonexistent"}, tmp_path) == ()


async def test_what_is_on_a_list_and_a_registry_of_the_users_is_marked(home: Path) -> None:
    found = await registries.configured({"CORP": "own.corp.test", "PATH": "/nonexistent"}, home)
    on_list = {one.host for one in found if not one.why_not}
    listed = Allowlist(("api.test", *on_list))
    marked = registries.risks(found, listed)
    assert {line.split()[0] for line in marked} == on_list
    assert all("can carry data out" in line for line in marked)
    assert registries.risks(found, Allowlist(("api.test",))) == ()
    wide = registries.risks([registries.Registry("npm", "npm.corp.test", "x")], Allowlist(("*.corp.test",)))
    assert [line.split()[0] for line in wide] == ["npm.corp.test"]


def test_no_registry_is_known_by_name_here() -> None:
    text = Path(registries.__file__).read_text()
    assert not [word for word in ("npmjs", "pypi", "crates", "golang.org", "apache.org") if word in text]
