"""What git's files name, for an agent whose git cannot be asked."""

from __future__ import annotations

import pytest

from paude.gate.heads import commits

A, B, C = ("a" * 40, "b" * 40, "c" * 64)


def test_branches_count_loose_or_packed_and_a_detached_head_too() -> None:
    packed = f"# pack-refs with: peeled\n{A} refs/heads/main\n{B} refs/tags/v1\n^{'d' * 40}\n".encode()
    assert commits(b"ref: refs/heads/main\n", packed, []) == {A}
    assert commits(b"ref: refs/heads/main\n", packed, [f"{C}\n".encode()]) == {A, C}
    assert commits(f"{B}\n".encode(), b"", []) == {B}
    assert commits(b"ref: refs/heads/unborn\n", b"", []) == frozenset()


@pytest.mark.parametrize(
    ("head", "packed", "loose"),
    [
        (b"", b"", []),
        (b"ref: refs/remotes/x", b"", []),
        (b"ref: refs/heads/main", b"zz refs/heads/main", []),
        (b"ref: refs/heads/main", b"", [None]),
        (b"ref: refs/heads/main", b"", [b"ref: refs/heads/other"]),
        (b"ref: refs/heads/main", b"", [b"a" * 39]),
        (b"ref: refs/heads/main", b"", [b"--upload-pack=x"]),
    ],
)
def test_what_is_not_understood_is_never_nothing(head: bytes, packed: bytes, loose: list[bytes | None]) -> None:
    with pytest.raises(ValueError, match="holds no commit"):
        commits(head, packed, loose)
