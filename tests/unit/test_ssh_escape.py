"""Keystrokes: what is for the pod, what is for paude, and what is held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.ssh.escape import HOLD_LIMIT, Command, Escapes, Held, Keys
from paude.ssh.screen import AlternateScreen, bottom_line


def split(*typed: bytes) -> list[object]:
    escapes = Escapes()
    parts = [part for keys in typed for part in escapes.feed(keys)]
    return [part.data if isinstance(part, Keys) else part for part in parts]


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (b"~.", [Command.LEAVE]),
        (b"ls\r~.", [b"ls\r", Command.LEAVE]),
        (b"~R", [Command.RECONNECT]),
        (b"~?", [Command.HELP]),
        (b"~\x1a", [Command.SUSPEND]),
        (b"~~x", [b"~x"]),
        (b"~x", [b"~x"]),
        (b"cd ~.\r", [b"cd ~.\r"]),
        (b"~?~.", [Command.HELP, Command.LEAVE]),
    ],
)
def test_a_tilde_speaks_to_paude_only_where_a_line_begins(typed: bytes, parts: list[object]):
    assert split(typed) == parts


@given(st.binary(max_size=200), st.integers(1, 7))
def test_how_the_keys_are_cut_into_reads_does_not_matter(typed: bytes, step: int):
    def joined(parts: list[object]) -> list[object]:
        out: list[object] = []
        for part in parts:
            if isinstance(part, bytes) and out and isinstance(out[-1], bytes):
                out[-1] += part
            else:
                out.append(part)
        return out

    pieces = [typed[i : i + step] for i in range(0, len(typed), step)]
    assert joined(split(*pieces)) == joined(split(typed))


@given(st.binary(max_size=200).filter(lambda b: b"~" not in b))
def test_without_a_tilde_every_byte_goes_to_the_pod(typed: bytes):
    assert b"".join(part for part in split(typed) if isinstance(part, bytes)) == typed


@given(st.lists(st.binary(max_size=3000).filter(lambda b: b"\x03" not in b), max_size=5))
def test_held_keys_are_kept_in_order_up_to_the_limit_and_the_rest_is_counted(typed: list[bytes]):
    held = Held()
    for keys in typed:
        held.add(keys)
    everything = b"".join(typed)
    assert held.refused == max(0, len(everything) - HOLD_LIMIT)
    assert held.take() == everything[:HOLD_LIMIT]
    assert held.take() == b""


def test_interrupt_drops_what_is_held_and_itself():
    held = Held()
    held.add(b"rm -rf")
    held.add(b"x\x03y")
    assert held.take() == b"y"


@given(st.lists(st.sampled_from([b"\x1b[?1049h", b"\x1b[?1049l", b"text", b"\x1b[2J"]), max_size=6), st.integers(1, 5))
def test_the_alternate_screen_is_known_however_the_bytes_are_cut(parts: list[bytes], step: int):
    whole, cut = AlternateScreen(), AlternateScreen()
    text = b"".join(parts)
    whole.feed(text)
    for start in range(0, len(text), step):
        cut.feed(text[start : start + step])
    switches = [part for part in parts if b"1049" in part]
    assert whole.shown == cut.shown == bool(switches and switches[-1].endswith(b"h"))


@given(st.text(max_size=300), st.integers(1, 200), st.integers(1, 100))
def test_the_bottom_line_never_wraps(text: str, columns: int, rows: int):
    shown = bottom_line(text, columns, rows)
    assert shown.startswith(b"\x1b7\x1b[%d;1H" % rows)
    assert len(shown.split(b"\x1b[0;7m")[1].split(b"\x1b[0m")[0].decode()) <= columns
