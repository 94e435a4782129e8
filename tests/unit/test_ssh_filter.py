"""What of the pod's output may reach the user's terminal."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.ssh.filter import LONGEST_CLIPBOARD, LONGEST_TEXT, LONGEST_TITLE, TerminalFilter

PASSES = {
    "text in any script": "häuser, 日本語, ✓ │ 🦀\r\n".encode(),
    "bell, backspace, tab, character sets": b"\a\b\t\x0e\x0fq",
    "movement": b"\x1b[H\x1b[5;10H\x1b[3A\x1b[12G\x1b[40d\x1b7\x1b8\x1b[s\x1b[u",
    "erasure": b"\x1b[K\x1b[1K\x1b[J\x1b[2J\x1b[5X\x1b[2P\x1b[3@\x1b[L\x1b[M",
    "scrolling": b"\x1b[1;23r\x1b[2S\x1b[2T\x1bM\x1bD\x1b[r",
    "colours": b"\x1b[0;1;38;5;12m\x1b[38;2;1;2;3;48:2::4:5:6m\x1b[4:3m\x1b[m",
    "line drawing": b"\x1b(0lqk\x1b(B\x1b)0",
    "alternate screen and title stack": b"\x1b[?1049h\x1b[22;0;0t\x1b[23;0;0t\x1b[?1049l",
    "cursor": b"\x1b[?25l\x1b[?12;25h\x1b[2 q\x1b[0 q\x1b[34h",
    "keypad and modified keys": b"\x1b[?1h\x1b=\x1b[?1l\x1b>\x1b[>4;2m\x1b[>4m",
    "mouse, focus, paste, synchronized": b"\x1b[?1000h\x1b[?1002;1006h\x1b[?1004h\x1b[?2004h\x1b[?2026h\x1b[?2026l",
    "titles": b"\x1b]0;vim - notes\x07\x1b]2;\xc3\xa4\x1b\\",
    "links to the web": b"\x1b]8;id=a1;https://example.test/x?y=1\x1b\\here\x1b]8;;\x1b\\",
    "the cursor's colour": b"\x1b]12;#ff8800\x07\x1b]112\x07",
}

REFUSED = {
    "clipboard write": b"\x1b]52;c;cm0gLXJmIC8=\x07",
    "clipboard read": b"\x1b]52;c;?\x1b\\",
    "title report": b"\x1b[21t",
    "window size, position, iconify": b"\x1b[18t\x1b[14t\x1b[3;0;0t\x1b[2t\x1b[8;5;5t",
    "device attributes": b"\x1b[c\x1b[0c\x1b[>c\x1b[=c\x1bZ",
    "version": b"\x1b[>q\x1b[>0q",
    "status and cursor position": b"\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n",
    "mode and settings questions": b"\x1b[?2004$p\x1b[4$p\x1b[x\x1b[?u\x1b[1;1;1;1;1;1*y",
    "DECRQSS": b"\x1bP$qm\x1b\\",
    "XTGETTCAP": b"\x1bP+q544e\x1b\\",
    "keys redefined": b"\x1bP0;1|17/726d202d7266\x1b\\",
    "tmux pass-through": b"\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\",
    "control mode": b"\x1bP1000p%begin\x1b\\",
    "sixel": b'\x1bPq"1;1;9999;9999#0~~~\x1b\\',
    "kitty graphics from a file": b"\x1b_Gt=f,a=T;L2V0Yy9wYXNzd2Q=\x1b\\",
    "privacy message, start of string": b"\x1b^x\x1b\\\x1bXy\x1b\\",
    "screen's title": b"\x1bkname\x1b\\",
    "iTerm2's files": b"\x1b]1337;File=name=eA==;inline=0:AAAA\x07",
    "colours asked": b"\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]12;?\x07",
    "palette and colours set": b"\x1b]4;1;#000000\x07\x1b]10;#000000\x07\x1b]104\x07",
    "directory, notifications, fonts": b"\x1b]7;file:///\x07\x1b]9;hi\x07\x1b]777;notify;a;b\x07\x1b]50;?\x07",
    "answer back": b"\x05",
    "printer": b"\x1b[5i\x1b[4i\x1b[?5i",
    "what has scrolled off": b"\x1b[3J",
    "another encoding": b"\x1b%@\x1b%G\x1b G",
    "vt52, keyboard lock, echo": b"\x1b[?2l\x1b[2h\x1b[12l\x1b[20h",
    "highlight tracking": b"\x1b[?1001h\x1b[1;1;1;1;1T",
    "reset, conformance level": b"\x1bc\x1b[62;1\x22p",
    "kitty keyboard": b"\x1b[>31u",
    "8-bit controls": b"\x9b\x9d\x90\x9e\x9f\x98\x85",
    "8-bit controls as UTF-8": b"\xc2\x9b\xc2\x90\xc2\x9d",
    "broken UTF-8": b"\xff\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80",
    "other controls": b"\0\x01\x11\x13\x18\x1a\x1c\x7f",
}


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
