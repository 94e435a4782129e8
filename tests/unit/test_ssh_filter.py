"""What of the pod's output may reach the user's terminal."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.ssh.filter import LONGEST_CLIPBOARD, LONGEST_TEXT, LONGEST_TITLE, TerminalFilter
from terminal_output import PASSES, REFUSED


@pytest.mark.parametrize("output", PASSES.values(), ids=PASSES)
def test_what_tmux_draws_with_passes_unchanged(output: bytes):
    assert TerminalFilter().feed(output) == output


@pytest.mark.parametrize("output", REFUSED.values(), ids=REFUSED)
def test_what_reaches_beyond_the_screen_is_dropped_and_the_text_around_it_stays(output: bytes):
    assert TerminalFilter().feed(b"before" + output + b"after") == b"beforeafter"


CHANGED = {
    "one forbidden mode among others": (b"\x1b[?1001;2004;66h", b"\x1b[?2004h"),
    "control characters in a title": (b"\x1b]2;a\nb\x00c\xc2\x9bd\x07", b"\x1b]2;abcd\x07"),
    "a link to a file ends the link before": (b"\x1b]8;;file:///etc/passwd\x1b\\x", b"\x1b]8;;\x1b\\x"),
    "a link with a control in it": (b"\x1b]8;;https://a\tb\x07x", b"\x1b]8;;\x07x"),
    "a string ended by another sequence": (b"\x1b]52;c;eA\x1b[1mbold", b"\x1b[1mbold"),
    "a string ended by cancel": (b"\x1bPq###\x18text", b"text"),
    "a sequence broken by a control": (b"\x1b[3\r1mtext", b"\r1mtext"),
    "a sequence inside a sequence": (b"\x1b[\x1b[31mred", b"\x1b[31mred"),
    "a character cut off by a sequence": (b"\xe2\x94\x1b[0m", b"\x1b[0m"),
}


@pytest.mark.parametrize(("output", "left"), CHANGED.values(), ids=CHANGED)
def test_of_what_is_partly_allowed_that_part_is_left(output: bytes, left: bytes):
    assert TerminalFilter().feed(output) == left


def test_the_clipboard_can_be_allowed_but_never_read():
    write, read = REFUSED["clipboard write"], REFUSED["clipboard read"]
    assert TerminalFilter(clipboard=True).feed(write + read) == write
    large = b"\x1b]52;c;%b\x07" % (b"A" * LONGEST_CLIPBOARD)
    assert TerminalFilter(clipboard=True).feed(large + b"x") == b"x"


def test_titles_are_short():
    shown = TerminalFilter().feed("\x1b]0;{}\x07".format("ä" * 1000).encode())
    assert shown == "\x1b]0;{}\x07".format("ä" * LONGEST_TITLE).encode()


def test_what_does_not_end_is_held_within_bounds_and_the_screen_comes_back():
    sieve = TerminalFilter()
    assert sieve.feed(b"\x1b]0;") == b""
    for _ in range(100):
        assert sieve.feed(b"A" * 1000) == b""
        assert len(sieve._held) <= LONGEST_TEXT + 8
    assert sieve.feed(b"\x1b[0mback") == b"\x1b[0mback"
    assert TerminalFilter().feed(b"\x1b[" + b"1" * 1000) != b"", "digits without end are text"


PIECES = st.sampled_from(
    [
        *PASSES.values(),
        *REFUSED.values(),
        *(output for output, _ in CHANGED.values()),
        *(bytes((n,)) for n in range(256)),
        *b"\x1b \x1b[ \x1b] \x1bP \x1b_ \x1b\\ \x1b[? \x1b[> \x1b]8;; \x1b]52;c; 0;t 1;2".split(),
        *b"\xe2\x94 \xc2 \xf0\x9f".split(),
        b"\x1b]0;" + b"x" * (LONGEST_TEXT - 2),
        b"\x1b[" + b"1;" * 63,
    ]
)
OUTPUT = st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join)

# What may stand after an escape in the output, spelled anew and not taken from the filter.
INTRODUCED = re.compile(
    rb"\x1b(?:[78=>DEHM]|[()*+][0AB]"
    rb"|\[(?:\?[0-9;]+[hl]|>4(?:;[0-2])?m|[0-9;:]*[@A-IK-MPSTXZ`abdefgrmsu]|[0-2]?J|[4;3]+[hl]|[0-6]? q|2[23][;0-2]*t)"
    rb"|\](?:[012];[^\x00-\x1f\x7f]*|8;[^\x00-\x20\x7f]*|12;[^?\x00-\x20]*|112;?)(?:\x07|\x1b\\))"
)


@given(OUTPUT)
def test_no_forbidden_introducer_is_ever_in_the_output(output: bytes):
    shown = TerminalFilter().feed(output)
    left = INTRODUCED.sub(b"", shown)
    assert b"\x1b" not in left
    text = left.decode("utf-8")
    assert not re.search("[\x00-\x06\x10-\x1f\x7f-\x9f]", text)


@settings(max_examples=300)
@given(OUTPUT, st.lists(st.integers(0, 3000), max_size=12))
def test_how_it_is_cut_changes_nothing(output: bytes, cuts: list[int]):
    places = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    sieve = TerminalFilter()
    parts = [sieve.feed(output[a:b]) for a, b in itertools.pairwise(places)]
    assert b"".join(parts) == TerminalFilter().feed(output)


@given(OUTPUT)
def test_byte_by_byte_is_the_same_too(output: bytes):
    output = output[:3000]
    sieve = TerminalFilter()
    assert b"".join(sieve.feed(output[n : n + 1]) for n in range(len(output))) == TerminalFilter().feed(output)


@given(OUTPUT)
def test_what_has_passed_passes_again(output: bytes):
    shown = TerminalFilter().feed(output)
    assert TerminalFilter().feed(shown) == shown


def test_plain_text_passes_at_fifty_megabytes_a_second():
    line = b"The quick brown fox jumps over the lazy dog, 0123456789 times.\r\n"
    chunk, sieve = line * 500, TerminalFilter()
    before = time.process_time()
    for _ in range(300):
        assert len(sieve.feed(chunk)) == len(chunk)
    assert 300 * len(chunk) / (time.process_time() - before) > 50e6
