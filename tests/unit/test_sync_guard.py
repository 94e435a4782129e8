from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.sync.guard import name_is_held, path_is_held

HELD = (
    *".git .GIT .Git. GIT~1 git~12 .envrc .ENVRC .env .env.local .vscode .VSCode .claude .mcp.json".split(),  # noqa: SIM905
    *"x.code-workspace .bashrc .husky node_modules lefthook.yml Fun.LNK .git::$INDEX_ALLOCATION".split(),  # noqa: SIM905
    ".git ",
    ".git. .",
    ".g\u200cit",
    ".gi\ufe0ft",
    "\uff0egit",
    "a\nb",
    "a\x1b[31m",
)
PASSING = (
    *"git .gitignore .gitattributes .github environment .env.example claude.md CLAUDE.md main.go vscode".split(),  # noqa: SIM905
    *"ünïcödé.txt 日本.md emoji-😀 ...x .editorconfig my.git.txt".split(),  # noqa: SIM905
    "a b",
)


@pytest.mark.parametrize("name", HELD)
def test_tier_1_is_held_in_every_spelling(name: str) -> None:
    assert name_is_held(name)


@pytest.mark.parametrize("name", PASSING)
def test_ordinary_names_pass(name: str) -> None:
    assert not name_is_held(name)


@given(
    st.lists(st.sampled_from(PASSING), max_size=3),
    st.sampled_from(HELD),
    st.lists(st.sampled_from(PASSING), max_size=3),
)
def test_a_path_is_held_wherever_the_name_stands(before: list[str], name: str, after: list[str]) -> None:
    assert path_is_held("/".join([*before, name, *after]))


@given(st.sampled_from([".git", ".envrc", ".vscode", ".claude", ".husky"]), st.data())
def test_case_never_matters(name: str, data: st.DataObject) -> None:
    assert name_is_held("".join(data.draw(st.sampled_from([c, c.upper()])) for c in name))
