"""Names of sessions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import UsageError
from paude.sessions.names import LONGEST, derive, slug, validate

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@pytest.mark.parametrize("name", ["a", "x-1", "1st", "my-project-b4kz", "a" * LONGEST, "a--b", "x-gate", "proxy-x"])
def test_a_good_name_comes_back_as_it_is(name: str) -> None:
    assert validate(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "a" * (LONGEST + 1), "a" * 64, "Upper", "under_score", "-dash", "dash-", "--help", "../x", "a/b", ".", "..",
        "a.b", "a\nb", "a\n", "a\0", "\x1b[31mred", "😀", "a\u202eb", "$(touch x)", ";reboot", "`id`", "%s", "{0}",
        "{{.}}", "a b", "ａ", "kube-system", "default", "baseline", "proxy", "proxy-0123456789ab", "all",
    ],
)  # fmt: skip
def test_a_bad_name_is_refused_with_a_reason_that_a_terminal_can_show(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate(name)

    assert caught.value.why
    assert caught.value.exit_code == 2
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


def test_a_name_is_made_of_the_directory_and_four_characters() -> None:
    assert derive(Path("/home/me/My Project_2"), lambda characters: characters[0]) == "my-project-2-bbbb"
    assert derive(Path("/x") / ("a" * 40 + "-b"), lambda characters: characters[0]) == "a" * 40 + "-bbbb"
    assert derive(Path("/"), lambda characters: characters[0]) == "session-bbbb"
    assert derive(Path("/x/Ünïcödé"), lambda characters: characters[0]) == "unicode-bbbb"


def test_two_names_for_one_directory_differ() -> None:
    assert len({derive(Path("/x/project")) for _ in range(20)}) > 15


@given(st.text(max_size=300).filter(lambda text: "\0" not in text))
def test_every_directory_gives_a_valid_name(text: str) -> None:
    assert validate(derive(Path("/work") / text))


@given(st.text())
def test_what_is_accepted_fits_every_object_of_the_session(text: str) -> None:
    try:
        name = validate(text)
    except UsageError:
        return
    for made in (f"paude-{name}-0", f"paude-{name}-credentials", f"paude-{name}-{'x' * 10}"):
        assert LABEL.fullmatch(made)
        assert len(made) <= 63 or made.endswith("-credentials")
    assert Path("/state", name).parent == Path("/state")


@given(st.text())
def test_a_slug_has_only_the_characters_of_a_name(text: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slug(text))
