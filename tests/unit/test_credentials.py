"""What a session is given: found on this machine, checked, never shown."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.credentials.found import METADATA, Egress, Found, Parcel, discover, parcel
from paude.credentials.hidden import Hidden
from paude.credentials.identity import GitIdentity, clean
from paude.errors import SettingsError

pytestmark = pytest.mark.anyio
CANARY = "canary-5ec4e7-f00d"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
USER = {"type": "authorized_user", "client_id": "i", "client_secret": CANARY, "refresh_token": CANARY}
SERVICE = {"type": "service_account", "client_email": "a@b", "private_key": CANARY, "token_uri": "https://x.test"}
VERTEX = {"CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_VERTEX_PROJECT_ID": "my-project", "CLOUD_ML_REGION": "us-east5"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path / "src"


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def adc_of(home: Path) -> Path:
    return home / ".config/gcloud/application_default_credentials.json"


def login_of(home: Path, expires: datetime) -> Path:
    oauth = {"accessToken": CANARY, "refreshToken": "refresh-" + CANARY, "expiresAt": expires.timestamp() * 1000}
    return put(home / ".claude/.credentials.json", {"claudeAiOauth": oauth})


async def test_a_machine_without_credentials_gives_none(home: Path, workspace: Path) -> None:
    found = await discover(environment(), home, workspace)

    assert found == Found()
    assert (found.needs_consent, found.egress.presets, parcel(found, True)) == ((), (), Parcel())


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"])
async def test_a_key_of_the_environment_goes_only_with_consent(variable: str, home: Path, workspace: Path) -> None:
    found = await discover(environment(**{variable: f" {CANARY}\n"}), home, workspace)

    assert parcel(found, consent=True).agent == {f"env.{variable}": CANARY.encode()}
    assert parcel(found, consent=False).agent == {}
    (sentence,) = found.needs_consent
    assert variable in sentence
    assert found.egress.presets == ("anthropic",)


async def test_a_key_can_lie_in_a_file(home: Path, workspace: Path, tmp_path: Path) -> None:
    named = put(tmp_path / "key", CANARY.encode() + b"\n")

    found = await discover(environment(ANTHROPIC_API_KEY_FILE=str(named)), home, workspace)

    assert parcel(found, consent=True).agent == {"env.ANTHROPIC_API_KEY": CANARY.encode()}


async def test_of_claudes_own_login_only_the_access_token_travels_while_it_lives(home: Path, workspace: Path) -> None:
    login_of(home, NOW + timedelta(hours=3))

    found = await discover(environment(), home, workspace, now=NOW)

    assert parcel(found, consent=False).agent == {"env.CLAUDE_CODE_OAUTH_TOKEN": CANARY.encode()}
    assert found.needs_consent == ()
    assert found.expires == NOW + timedelta(hours=3)
    assert (await discover(environment(), home, workspace, now=NOW + timedelta(hours=3))).api_key is None


async def test_vertex_takes_the_one_file_and_no_key_beside_it(home: Path, workspace: Path) -> None:
    put(adc_of(home), USER)

    found = await discover(environment(**VERTEX, ANTHROPIC_API_KEY="other"), home, workspace)

    given = parcel(found, consent=False)
    assert json.loads(given.gate["adc.json"]) == USER
    assert given.agent == {
        "env.CLAUDE_CODE_USE_VERTEX": b"1",
        "env.ANTHROPIC_VERTEX_PROJECT_ID": b"my-project",
        "env.CLOUD_ML_REGION": b"us-east5",
        **{f"env.{name}": value.encode() for name, value in METADATA.items()},
    }
    assert found.egress == Egress(("vertex",), ("oauth2.googleapis.com",))
    assert found.needs_consent == (), "it does not lie where the agent can read it"


def _impersonated(source: dict[str, str]) -> dict[str, Any]:
    url = "https://iam.test/v1/projects/-/serviceAccounts/a@b:generateAccessToken"
    return {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": url,
        "source_credentials": source,
    }


@pytest.mark.parametrize(
    ("content", "hosts"),
    [(USER, ("oauth2.googleapis.com",)), (SERVICE, ("x.test",)), (_impersonated(SERVICE), ("x.test", "iam.test"))],
)
async def test_the_hosts_that_make_tokens_are_allowed(
    content: dict[str, Any], hosts: tuple[str, ...], home: Path, workspace: Path
) -> None:
    put(adc_of(home), content)

    assert (await discover(environment(**VERTEX), home, workspace)).egress.hosts == hosts


@pytest.mark.parametrize(
    "address", ["http://x.test/t", "https://u:p@x.test/", "https://x.test:8443/", "file:///etc", "x"]
)
async def test_a_login_is_never_sent_to_a_strange_address(address: str, home: Path, workspace: Path) -> None:
    put(adc_of(home), {**SERVICE, "token_uri": address})

    with pytest.raises(SettingsError, match="https://HOST"):
        await discover(environment(**VERTEX), home, workspace)


async def test_an_address_of_the_users_own_takes_the_place_of_the_usual_ones(home: Path, workspace: Path) -> None:
    put(adc_of(home), {**USER, "token_uri": "https://oauth2.test/token"})
    own = {"ANTHROPIC_VERTEX_BASE_URL": "https://vertex.corp.test/v1", "ANTHROPIC_MODEL": "claude-x@1", "EDITOR": "vi"}

    found = await discover(environment(**VERTEX, **own), home, workspace)

    assert found.egress == Egress((), ("oauth2.test", "vertex.corp.test"))
    given = parcel(found, consent=False).agent
    assert given["env.ANTHROPIC_VERTEX_BASE_URL"] == b"https://vertex.corp.test/v1"
    assert given["env.ANTHROPIC_MODEL"] == b"claude-x@1"
    assert "env.EDITOR" not in given


@pytest.mark.parametrize(
    "own", [{"ANTHROPIC_BASE_URL": "http://x.test"}, {"ANTHROPIC_MODEL": "x\ny"}, {"ANTHROPIC_MODEL": "$(reboot)"}]
)
async def test_a_setting_of_the_model_must_make_sense(own: dict[str, str], home: Path, workspace: Path) -> None:
    with pytest.raises(SettingsError):
        await discover(environment(ANTHROPIC_API_KEY="k", **own), home, workspace)


async def test_google_credentials_stay_home_unless_claude_uses_vertex(home: Path, workspace: Path) -> None:
    put(adc_of(home), USER)

    for value in ("", "0", "false"):
        assert await discover(environment(CLAUDE_CODE_USE_VERTEX=value), home, workspace) == Found()


@pytest.mark.parametrize("content", [SERVICE, {**USER, "quota_project_id": "from-file"}])
async def test_the_kinds_that_work_are_taken(content: dict[str, str], home: Path, workspace: Path) -> None:
    put(adc_of(home), content)

    found = await discover(environment(**VERTEX), home, workspace)

    assert found.vertex is not None
    assert found.vertex.kind == content["type"]


async def test_the_project_may_come_from_the_file(home: Path, workspace: Path) -> None:
    put(adc_of(home), {**USER, "quota_project_id": "from-file"})

    found = await discover(environment(CLAUDE_CODE_USE_VERTEX="1", CLOUD_ML_REGION="global"), home, workspace)

    assert found.vertex is not None
    assert found.vertex.project == "from-file"


BAD_ADC = {
    "empty": (b"", "empty"),
    "truncated": (json.dumps(USER).encode()[:-20], "no JSON"),
    "not JSON": (CANARY.encode(), "no JSON"),
    "a list": (b"[]", "no JSON object"),
    "too deep": (b"[" * 60_000, "no JSON"),
    "too large": (json.dumps({**USER, "x": "y" * 70_000}).encode(), "64 KiB"),
    "binary": (b"\xff\x00\xfe", "no JSON"),
    "no type": ({"refresh_token": CANARY}, "type"),
    "odd type": ({**USER, "type": ["x"]}, "type"),
    "no refresh token": ({**USER, "refresh_token": ""}, "refresh_token"),
    "a program": ({"type": "external_account", "credential_source": {"executable": {"command": "x"}}}, "program"),
    "an address": ({"type": "external_account", "credential_source": {"url": "http://x.test"}}, "cannot reach"),
    "a program behind": (
        {"type": "impersonated_service_account", "service_account_impersonation_url": "https://x.test",
         "source_credentials": {"type": "external_account", "credential_source": {"executable": {}}}}, "program"),
    "itself": ({"type": "impersonated_service_account", "service_account_impersonation_url": "u",
                "source_credentials": {"type": "impersonated_service_account"}}, "source_credentials"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ADC)
async def test_a_bad_file_says_what_is_wrong_and_quotes_nothing(name: str, home: Path, workspace: Path) -> None:
    content, word = BAD_ADC[name]
    put(adc_of(home), content)

    with pytest.raises(SettingsError) as caught:
        await discover(environment(**VERTEX), home, workspace)

    assert word in caught.value.why
    assert CANARY not in f"{caught.value}{caught.value.hint}{caught.value.__cause__!r}"


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device"])
async def test_what_is_no_file_is_refused_at_once(kind: str, home: Path, workspace: Path, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "adc"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)

    with pytest.raises(SettingsError, match="cannot be used"):
        await discover(environment(**VERTEX, GOOGLE_APPLICATION_CREDENTIALS=str(path)), home, workspace)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"CLOUD_ML_REGION": ""}, "CLOUD_ML_REGION"),
        ({"CLOUD_ML_REGION": "us-east5.evil.test/"}, "CLOUD_ML_REGION"),
        ({"ANTHROPIC_VERTEX_PROJECT_ID": ""}, "ANTHROPIC_VERTEX_PROJECT_ID"),
        ({"ANTHROPIC_VERTEX_PROJECT_ID": "a b\n"}, "ANTHROPIC_VERTEX_PROJECT_ID"),
    ],
)
async def test_project_and_region_must_be_words(change: dict[str, str], word: str, home: Path, workspace: Path) -> None:
    put(adc_of(home), USER)

    with pytest.raises(SettingsError, match=word) as caught:
        await discover(environment(**{**VERTEX, **change}), home, workspace)

    assert caught.value.hint


async def test_vertex_without_a_login_says_how_to_log_in(home: Path, workspace: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        await discover(environment(**VERTEX), home, workspace)

    assert "gcloud auth application-default login" in caught.value.hint


@pytest.mark.parametrize("value", [f"{CANARY} x", f"{CANARY}\nx", f"{CANARY}\x1b[1m", "k" * 9000, "ключ"])
async def test_a_key_that_cannot_be_one_is_refused_without_showing_it(value: str, home: Path, workspace: Path) -> None:
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY") as caught:
        await discover(environment(ANTHROPIC_API_KEY=value), home, workspace)

    assert CANARY not in f"{caught.value}{caught.value.hint}{caught.value.__cause__!r}"


async def test_no_secret_shows_in_what_is_printed(home: Path, workspace: Path) -> None:
    put(adc_of(home), USER)
    founds = [
        await discover(environment(ANTHROPIC_API_KEY=CANARY), home, workspace),
        await discover(environment(**VERTEX), home, workspace),
    ]

    for found in founds:
        shown = [repr(found), str(found), f"{found}", *found.summary(), *found.needs_consent]
        assert not any(CANARY in text for text in shown)
        assert found.summary()


def test_a_hidden_value_cannot_be_pickled_or_copied_away() -> None:
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            take(Hidden(b"x"))
    assert Hidden(b"x") == Hidden(b"x")
    assert Hidden(b"x") != Hidden(b"y")


def git(directory: Path, home: Path, *words: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run(["git", *words], cwd=directory, env=env, check=True, capture_output=True, text=True)
    return done.stdout


async def test_the_identity_is_what_git_would_use_there(home: Path, workspace: Path) -> None:
    put(home / ".gitconfig", f'[user]\n\tname = Me\n\temail = me@home.test\n[includeIf "gitdir:{workspace}/"]\n'
                             f"\tpath = {home}/work\n".encode())  # fmt: skip
    put(home / "work", b"[user]\n\temail = me@work.test\n")
    git(workspace, home, "init", "-q")

    found = await discover(environment(), home, workspace)

    assert found.git_identity == GitIdentity("Me", "me@work.test")


async def test_only_name_and_address_travel(home: Path, workspace: Path, tmp_path: Path) -> None:
    put(home / ".gitconfig",
        f'[user]\n\tname = Me\n\temail = me@x.test\n[url "https://{CANARY}@x.test/"]\n\tinsteadOf = https://x.test/\n'
        f"[http]\n\textraHeader = {CANARY}\n[alias]\n\tx = !{CANARY}\n".encode())  # fmt: skip

    data = parcel(await discover(environment(), home, workspace), consent=False).agent

    assert CANARY.encode() not in data["gitconfig"]
    written = put(tmp_path / "out", data["gitconfig"])
    listed = git(tmp_path, home, "config", "--file", str(written), "--list")
    assert listed == "user.name=Me\nuser.email=me@x.test\n"


async def test_the_laptops_git_variables_have_no_say(home: Path, workspace: Path) -> None:
    variables = {
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "x",
        "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "x@x.test",
    }  # fmt: skip

    found = await discover(environment(**variables), home, workspace)

    assert found.git_identity is None


@pytest.mark.parametrize("content", [b"[include]\n\tpath = .gitconfig\n", b"[user\nname", b"\xff\xfe"])
async def test_a_broken_git_configuration_gives_no_identity(content: bytes, home: Path, workspace: Path) -> None:
    put(home / ".gitconfig", content)

    assert (await discover(environment(), home, workspace)).git_identity is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_breaks_out_of_the_configuration(name: str, email: str) -> None:
    lines = GitIdentity(clean(name), clean(email)).gitconfig().decode().split("\n")

    assert [line.split("=")[0] for line in lines] == ["[user]", "\tname ", "\temail ", ""]
    assert all(line.isprintable() or line.startswith("\t") for line in lines)
    assert not {"\x1b", "\u202e", "\0"} & set("".join(lines))


NAMES = ['He said "hi"', "back\\slash", "semi; colon # hash", "tab\tand\nline", "\x1b[31mred\x1b[0m", "Zoë 😀", " x "]


@pytest.mark.parametrize("name", NAMES)
def test_git_reads_back_the_name_that_was_written(name: str, tmp_path: Path) -> None:
    written = put(tmp_path / "gitconfig", GitIdentity(clean(name), "a@b").gitconfig())

    assert git(tmp_path, tmp_path, "config", "--file", str(written), "user.name") == clean(name) + "\n"
