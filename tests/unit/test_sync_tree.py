"""A workspace is walked while an agent writes there: a link may take the place of a directory at any moment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paude.sync.compare import local_tree
from paude.sync.patterns import Matcher
from paude.sync.tree import entries

DEEP = 200
ALL = Matcher(())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With a directory `d`, beside one that a link is to lead to; both hold a file `f`."""
    for name in ("root/d", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "f").write_text(name)
    return tmp_path / "root"


def swap(root: Path) -> None:
    """The agent's trick: the directory goes, and a link to the other one is where it was."""
    (root / "d").rename(root.parent / "gone")
    (root / "d").symlink_to(root.parent / "elsewhere")


class Interrupted(Matcher):
    """The rules that let everything out, and something that happens when one path is asked about."""

    def __init__(self, path: str, happens: Callable[[], object]) -> None:
        super().__init__(())
        self._path, self._happens = path, happens

    def ignored(self, path: str, *, directory: bool) -> bool:
        if path == self._path:
            self._happens()
        return super().ignored(path, directory=directory)


def test_a_directory_that_became_a_link_before_it_was_opened_is_not_followed(root: Path) -> None:
    unreadable: list[str] = []
    found = []
    for one in entries(root, ALL, unreadable):
        found.append(one.path)
        if one.path == "d":
            swap(root)
    assert (found, unreadable) == (["d"], ["d"])


def test_a_file_is_read_in_the_directory_that_it_was_found_in(root: Path) -> None:
    facts = local_tree(root, Interrupted("d/f", lambda: swap(root)))["d/f"]
    assert facts.hash == hashlib.sha256(b"root/d").hexdigest()


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A tree of one directory in the other, each with a file that comes after the directory."""
    here = tmp_path / "deep"
    for _ in range(DEEP):
        here.mkdir()
        (here / "z").write_text(str(here))
        here = here / "d"
    return tmp_path / "deep"


def test_a_tree_of_any_depth_is_walked_with_few_handles(deep: Path) -> None:
    found, highest = [], 0
    for one in entries(deep, ALL):
        found.append(one.path)
        if not one.is_directory:
            with one.open() as file:
                assert file.read() == str((deep / one.path).parent).encode()
        highest = max(highest, lowest_free())
    down = ["/".join("d" * level) for level in range(1, DEEP)]
    up = ["/".join([*"d" * level, "z"]) for level in reversed(range(DEEP))]
    assert found == down + up
    assert highest < lowest_free() + DEEP / 2


def test_what_became_a_link_before_the_way_back_is_left_out(deep: Path) -> None:
    unreadable: list[str] = []
    found = []
    turned = deep.joinpath(*"d" * 100)
    for one in entries(deep, ALL, unreadable):
        found.append(one.path)
        if one.path.endswith("z") and not unreadable and not turned.is_symlink():
            turned.rename(turned.with_name("moved"))
            turned.symlink_to("moved")
    assert unreadable == ["/".join("d" * level) for level in reversed(range(100, DEEP - 1))]
    assert found[-100:] == ["/".join([*"d" * level, "z"]) for level in reversed(range(100))]


def lowest_free() -> int:
    """The number that the next handle has."""
    handle = os.open(os.devnull, os.O_RDONLY)
    os.close(handle)
    return handle
