from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import PaudeError, UsageError
from paude.settings import Paths
from paude.sync import aside, decided
from paude.sync.compare import Facts, differences, local_tree, travelling
from paude.sync.patterns import Matcher
from paude.sync.selection import Outgoing
from paude.sync.shown import difference, visible


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "w" / "d").mkdir(parents=True)
    (tmp_path / "w" / "out").symlink_to("../outside")
    return tmp_path / "w"


@given(st.text())
def test_nothing_that_is_shown_controls_the_terminal_or_hides(text: str) -> None:
    assert {unicodedata.category(c)[0] for c in visible(text).replace("\t", "")} <= set("LMNPSZ")


def test_a_diff_shows_what_is_not_visible_and_says_what_it_leaves_out() -> None:
    shown = difference("a\u202eb", b"one\n", b"one\x1b[2K\ntwo \xff\n")
    assert "+one\\x1b[2K" in shown
    assert "a\\u202eb" in shown
    assert difference("x", b"a\0", None) == "2 bytes → nothing, not shown as text"
    assert "more lines" in difference("x", None, b"\n".join(b"%d" % n for n in range(5000)))


def test_what_is_written_never_goes_through_a_link(workspace: Path) -> None:
    aside.write(workspace, "new/dir/f", b"x", executable=True)
    assert (workspace / "new/dir/f").stat().st_mode & 0o100
    for path in ("out/f", "../outside/f", "/etc/f", "d/../../outside/f", "d//f", ""):
        with pytest.raises(PaudeError):
            aside.write(workspace, path, b"x", executable=False)
    for target in ("/etc/passwd", "../outside"):
        with pytest.raises(PaudeError):
            aside.link(workspace, "l", target)
    with pytest.raises(PaudeError):
        aside.move(workspace, "out/f", workspace / "kept")
    assert list((workspace.parent / "outside").iterdir()) == []
    assert sorted(p.name for p in workspace.iterdir()) == ["d", "new", "out"], "and nothing is left half way"


def test_a_version_that_lost_is_kept_as_it_was(workspace: Path, tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("s", "r", "c", "k")))
    (workspace / "d" / "f").write_text("mine")
    kept = [aside.place(paths, "s", "d/f") for _ in range(2)]
    assert kept[0] != kept[1]
    assert aside.move(workspace, "d/f", kept[0])
    assert kept[0].read_text() == "mine"
    assert not aside.move(workspace, "d/f", kept[1])


def test_two_trees_are_compared_by_what_travels_only(workspace: Path) -> None:
    (workspace / "f").write_text("x")
    (workspace / "d" / "private").write_text("x")
    matcher = Matcher(["private", "/build/"])
    here = local_tree(workspace, matcher)
    assert set(here) == {"d", "f"}, "a link that leads out takes no part"
    listing = [*here.items(), ("build", Facts("directory")), ("build/x", Facts("file", hash="1"))]
    listing += [("l", Facts("link", target="/etc")), ("pipe", Facts("other")), ("bad\udcff", Facts("file"))]
    assert dict(travelling(listing, matcher)) == here
    there = {**here, "f": Facts("file", True, here["f"].hash), "new": Facts("link", target="f")}
    del there["d"]
    assert [(one.path, one.what) for one in differences(here, there)] == [
        ("d", "only on the laptop"),
        ("f", "executable on one side only"),
        ("new", "only in the pod"),
    ]


async def test_more_than_before_needs_a_word_and_less_does_not(workspace: Path, tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("s", "r", "c", "k")))
    (workspace / ".paudeignore").write_text("f*\n")
    for name in ("f1", "f2"):
        (workspace / name).write_text("x")
    chosen, more = await decided.decide(paths, workspace)
    assert more == ()
    decided.save(paths, workspace, chosen)
    assert decided.load(paths, workspace) == chosen
    (workspace / ".paudeignore").write_text("\n")
    _, more = await decided.decide(paths, workspace)
    assert more == ("f1", "f2")
    decided.check(more, None)
    decided.check(more, ("f2", "f1"))
    for agreed in ((), ("f1",)):
        with pytest.raises(UsageError, match="f2"):
            decided.check(more, agreed)
    (workspace / ".paudeignore").write_text("f*\nd/\n")
    assert (await decided.decide(paths, workspace))[1] == ()


def test_what_cannot_be_read_is_no_decision(workspace: Path, tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("s", "r", "c", "k")))
    decided.save(paths, workspace, Outgoing(("a",), ()))
    for text in ("", "[]", '{"ignores": 1}'):
        next((paths.state / "outgoing").iterdir()).write_text(text)
        assert decided.load(paths, workspace) is None
