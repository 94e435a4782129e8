from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.sync.patterns import Matcher, all_but, from_git, literal, releasing

TABLE = [
    ("*.pyc", "a/b/c.pyc", False, True),
    ("*.pyc", "a.pyc/x", False, False),
    ("/top", "top", False, True),
    ("/top", "a/top", False, False),
    ("a/b", "a/b", False, True),
    ("a/b", "x/a/b", False, False),
    ("dir/", "x/dir", True, True),
    ("dir/", "x/dir", False, False),
    ("a/**/z", "a/z", False, True),
    ("a/**/z", "a/b/c/z", False, True),
    ("**/z", "b/c/z", False, True),
    ("a/**", "a", True, False),
    ("a/**", "a/x", False, True),
    ("[ab].x", "b.x", False, True),
    ("[!ab].x", "b.x", False, False),
    ("{a,b}", "a", False, False),
    ("{a,b}", "{a,b}", False, True),
    (r"\!x", "!x", False, True),
    (r"\#x", "#x", False, True),
    ("#x", "#x", False, False),
    ("x  ", "x", False, True),
    ("x\\ ", "x ", False, True),
    ("?", "é", False, True),
    ("[", "[", False, False),
    ("a\\", "a", False, False),
    ("[z-a]", "a", False, False),
    ("x/[9-0]*", "x/5", False, False),
]


@pytest.mark.parametrize(("rule", "path", "directory", "ignored"), TABLE)
def test_a_rule_of_git_means_here_what_it_means_there(rule: str, path: str, directory: bool, ignored: bool) -> None:
    assert Matcher(from_git([rule])).ignored(path, directory=directory) is ignored


def test_the_last_rule_that_matches_decides() -> None:
    matcher = Matcher(from_git(["*.log", "!keep.log", "/keep.log"]))
    assert matcher.ignored("x.log", directory=False)
    assert not matcher.ignored("a/keep.log", directory=False)
    assert matcher.ignored("keep.log", directory=False)


def test_the_rules_of_a_directory_hold_below_it_only() -> None:
    matcher = Matcher(from_git(["*.log", "/here", "x/y", "!a.log"], "sub[1]"))
    assert matcher.ignored("sub[1]/deep/b.log", directory=False)
    assert not matcher.ignored("sub[1]/deep/a.log", directory=False)
    assert matcher.ignored("sub[1]/here", directory=False)
    assert matcher.ignored("sub[1]/x/y", directory=False)
    assert not matcher.ignored("sub1/b.log", directory=False)
    assert not matcher.ignored("b.log", directory=False)


@pytest.mark.parametrize("path", ["a*b", "a?b", "[x]", "{a,b}", "!x", "a\\b", "d/e f", "ü"])
def test_a_literal_matches_itself_and_nothing_else(path: str) -> None:
    matcher = Matcher([literal(path)])
    assert matcher.ignored(path, directory=False)
    assert not matcher.ignored("x" + path, directory=False)
    assert not matcher.ignored("x/" + path, directory=False)


PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0\n", exclude_categories=("Cs",)), min_size=1, max_size=6
)
NAMES = PART.filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, min_size=1, max_size=3), st.lists(PATHS, max_size=6))
def test_all_but_some_paths_is_ignored(wanted: list[str], others: list[str]) -> None:
    matcher = Matcher(all_but(wanted))
    for path in {*wanted, *(f"{one}/below" for one in wanted), *others, *(f"{one}x" for one in wanted)}:
        parts = path.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        stays = any(matcher.ignored(one, directory=True) for one in above) or matcher.ignored(path, directory=False)
        inside = any(f"{path}/".startswith(f"{one}/") for one in wanted)
        on_the_way = any(one.startswith(f"{path}/") for one in wanted)
        assert stays is not (inside or on_the_way), path


def travels(rules: tuple[str, ...], path: str) -> bool:
    """Nothing below an ignored directory is looked at."""
    matcher, parts = Matcher(rules), path.split("/")
    above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return not any(matcher.ignored(one, directory=True) for one in above) and not matcher.ignored(path, directory=False)


PATHS = st.lists(st.sampled_from(("a", "b", "[c]", "ü*")), min_size=1, max_size=4).map("/".join)


@given(
    st.lists(PATHS, min_size=1, max_size=3),
    PATHS,
    st.sampled_from((("*",), ("/a/",), ("a/b", "b"), ("a/", "!/a/b"), ())),
)
def test_what_is_released_travels_and_nothing_else_does_that_did_not(
    released: list[str], path: str, rules: tuple[str, ...]
) -> None:
    after = (*rules, *releasing(released, Matcher(rules)))
    if any(path == one or path.startswith(f"{one}/") for one in released):
        assert travels(after, path)
    elif any(one.startswith(f"{path}/") for one in released):
        pass  # a directory on the way
    else:
        assert travels(after, path) <= travels(rules, path)
