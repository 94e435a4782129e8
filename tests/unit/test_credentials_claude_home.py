"""What goes along of the user's own Claude Code, and that no secret, hook or stranger's file does."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.credentials import onboarding
from paude.credentials.claude_home import LARGEST, ClaudeHome, find
from paude.credentials.found import Found

CANARY = "canary-5ec4e7-f00d"
KEY = "sk-ant-api03-" + "q7Rx" * 8


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.claude").mkdir(parents=True)
    return tmp_path / "home"


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def files(own: ClaudeHome) -> dict[str, str]:
    if not own.packed:
        return {}
    with tarfile.open(fileobj=io.BytesIO(own.packed)) as tar:
        return {one.name: tar.extractfile(one).read().decode() for one in tar}  # type: ignore[union-attr]


def everything(own: ClaudeHome) -> bytes:
    given = onboarding.claude(Found(), own, consent=False)
    return b"".join(gzip.decompress(v) if k == "tree.tar.gz" else v for k, v in given.items())


def test_instructions_agents_commands_and_skills_go_along(home: Path, tmp_path: Path) -> None:
    for name in ("CLAUDE.md", "agents/a.md", "commands/deep/c.md", "skills/s/SKILL.md", "skills/s/run.sh"):
        put(home / ".claude" / name, f"this is {name}")

    own = find({}, home, tmp_path)

    assert files(own) == {
        f".claude/{name}": f"this is {name}"
        for name in ("CLAUDE.md", "agents/a.md", "commands/deep/c.md", "skills/s/SKILL.md", "skills/s/run.sh")
    }
    assert own.left_out == ()
    assert find({}, home, tmp_path).packed == own.packed, "equal files make equal bytes"


def test_a_directory_of_the_users_choice_is_read_instead(home: Path, tmp_path: Path) -> None:
    put(home / ".claude/CLAUDE.md", "the usual place")
    put(tmp_path / "other/CLAUDE.md", "the other place")
    put(tmp_path / "other/.claude.json", {"mcpServers": {"m": {"command": "x"}}})

    own = find({"CLAUDE_CONFIG_DIR": str(tmp_path / "other")}, home, tmp_path)

    assert files(own) == {".claude/CLAUDE.md": "the other place"}
    assert set(own.servers) == {"m"}


def test_logins_history_and_other_projects_stay(home: Path, tmp_path: Path) -> None:
    put(home / ".claude/.credentials.json", {"claudeAiOauth": {"refreshToken": CANARY}})
    put(home / ".claude/history.jsonl", CANARY)
    put(home / ".claude/projects/-other/x.jsonl", CANARY)
    put(home / ".claude/plugins/p/agents/x.md", CANARY)
    put(home / ".claude/settings.local.json", {"env": {"X": CANARY}})
    put(home / ".claude.json", {"oauthAccount": {"emailAddress": CANARY}, "projects": {"/other": {"x": CANARY}}})

    assert CANARY.encode() not in everything(find({}, home, tmp_path))


def test_what_looks_like_a_secret_stays_and_is_told(home: Path, tmp_path: Path) -> None:
    put(home / ".claude/CLAUDE.md", f"use the key {KEY}")
    put(home / ".claude/skills/s/.env", f"X={CANARY}")
    put(home / ".claude/skills/s/deploy.pem", CANARY)
    put(home / ".claude/skills/s/SKILL.md", "fine")

    own = find({}, home, tmp_path)

    assert files(own) == {".claude/skills/s/SKILL.md": "fine"}
    assert sorted(one.partition(":")[0] for one in own.left_out) == [
        "CLAUDE.md", "skills/s/.env", "skills/s/deploy.pem",
    ]  # fmt: skip
    assert KEY not in "".join(own.left_out)


def test_what_is_no_small_regular_file_stays(home: Path, tmp_path: Path) -> None:
    put(home / ".claude/commands/large.md", "x" * 300_000)
    os.mkfifo(home / ".claude/commands/pipe.md")
    (home / ".claude/commands/zero.md").symlink_to("/dev/zero")
    (home / ".claude/commands/gone.md").symlink_to("/nowhere")

    own = find({}, home, tmp_path)

    assert files(own) == {}
    assert len(own.left_out) == 1


def test_more_than_there_is_room_for_leaves_the_largest_here(home: Path, tmp_path: Path) -> None:
    for number in range(6):
        put(home / f".claude/commands/{number}.md", os.urandom(60_000 + number).hex())
    put(home / ".claude/CLAUDE.md", "small")

    own = find({}, home, tmp_path)

    assert ".claude/CLAUDE.md" in files(own)
    assert len(own.packed) <= LARGEST
    assert any("5.md" in one for one in own.left_out)


SETTINGS = {
    "model": "opus",
    "includeCoAuthoredBy": False,
    "permissions": {"allow": ["Bash(make:*)", 7, f"Bash(curl -H {KEY})"], "additionalDirectories": ["/etc"]},
    "hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": CANARY}]}]},
    "env": {"TOKEN": CANARY},
    "apiKeyHelper": CANARY,
    "awsAuthRefresh": CANARY,
    "otelHeadersHelper": CANARY,
    "statusLine": {"type": "command", "command": CANARY},
    "enabledPlugins": {CANARY: True},
    "language": 5,
}


def test_settings_go_without_hooks_helpers_and_secrets(home: Path, tmp_path: Path) -> None:
    put(home / ".claude/settings.json", SETTINGS)

    settings = json.loads(files(find({}, home, tmp_path))[".claude/settings.json"])

    assert settings == {
        "model": "opus",
        "includeCoAuthoredBy": False,
        "permissions": {"allow": ["Bash(make:*)"]},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SETTINGS, "x"]), inner, max_size=4),
    max_leaves=12,
)
FREE = {"model", "outputStyle", "language", "effortLevel", "permissions"}


@given(st.dictionaries(st.sampled_from([one for one in SETTINGS if one not in FREE]), JSON))
def test_whatever_stands_under_the_other_names_stays(tmp_path_factory: pytest.TempPathFactory, given: Any) -> None:
    home = tmp_path_factory.mktemp("h")
    put(home / ".claude/settings.json", given)

    assert CANARY.encode() not in everything(find({}, home, home))


@pytest.mark.parametrize("text", ["", "[]", "{", "7", "null", "[" * 50_000])
def test_a_broken_file_of_settings_is_none(text: str, home: Path, tmp_path: Path) -> None:
    put(home / ".claude/settings.json", text)
    put(home / ".claude.json", text)

    assert find({}, home, tmp_path) == ClaudeHome()


def test_servers_go_without_their_secrets(home: Path, tmp_path: Path) -> None:
    definitions = {
        "plain": {"command": "npx", "args": ["-y", "server"], "env": {"A": "${A:-x}", "SECRET": CANARY}},
        "web": {"type": "http", "url": "https://m.test/mcp", "headers": {"Authorization": "Bearer ${T}", "X": CANARY}},
        "in-args": {"command": "x", "args": [f"--api-key={CANARY}"]},
        "in-url": {"type": "sse", "url": f"https://m.test/?token={CANARY}"},
        "nothing": {"env": {"X": CANARY}},
    }  # fmt: skip
    put(home / ".claude.json", {"mcpServers": definitions})

    own = find({}, home, tmp_path)

    written = json.loads(onboarding.claude(Found(), own, consent=True)["home..claude.json"])["mcpServers"]
    assert written == {
        "plain": {"command": "npx", "args": ["-y", "server"], "env": {"A": "${A:-x}"}},
        "web": {"type": "http", "url": "https://m.test/mcp", "headers": {"Authorization": "Bearer ${T}"}},
    }
    assert CANARY.encode() not in everything(own)
    assert len(own.left_out) == 5
    assert not any(CANARY in one for one in own.left_out)
    assert own.needs_consent == ()


@pytest.mark.parametrize(
    "words", [["-e", "API_TOKEN=x1"], ["--env=API_TOKEN=x1"], ["--header", "X-Api-Key: x1"], ["--header", "Auth:x1"]]
)
def test_a_secret_that_an_argument_assigns_stays(home: Path, tmp_path: Path, words: list[str]) -> None:
    put(home / ".claude.json", {"mcpServers": {"m": {"command": "docker", "args": ["run", *words]}}})
    own = find({}, home, tmp_path)
    assert (own.servers, len(own.left_out)) == ({}, 1)


@pytest.mark.parametrize(
    "words",
    [["-e", "API_TOKEN"], ["--header", "Authorization: Bearer ${T}"], ["--header", "X-Key:${K}"], ["-e", "MODE=x"]],
)
def test_what_is_filled_in_where_it_runs_goes_along(home: Path, tmp_path: Path, words: list[str]) -> None:
    put(home / ".claude.json", {"mcpServers": {"m": {"command": "docker", "args": ["run", *words]}}})
    assert find({}, home, tmp_path).servers["m"].definition["args"] == ["run", *words]


def test_on_request_servers_keep_their_secrets_and_that_needs_a_yes(home: Path, tmp_path: Path) -> None:
    definition = {"command": "npx", "args": ["--token", CANARY], "env": {"SECRET": CANARY}}
    put(home / ".claude.json", {"mcpServers": {"m": definition}})

    own = find({}, home, tmp_path, secrets=True)

    assert own.servers["m"].definition == definition
    (sentence,) = own.needs_consent
    assert "SECRET" in sentence
    assert CANARY not in sentence + repr(own)


def test_servers_of_this_workspace_go_along_and_those_of_another_do_not(home: Path, tmp_path: Path) -> None:
    of = {str(tmp_path.resolve()): {"mcpServers": {"here": {"command": "a"}}}, "/other": {"mcpServers": {"there": {}}}}
    put(home / ".claude.json", {"projects": of, "mcpServers": {"all": {"command": "b"}}})

    assert set(find({}, home, tmp_path).servers) == {"all", "here"}
