"""What the pod may do to the user's terminal: an allow-list. Pure, incremental, bounded memory.

The agent can write to its tmux client's pty past tmux, so nothing that comes from there is trusted. What tmux draws
with passes; clipboard writes, questions that the terminal would answer into its own input, device strings (DCS, APC,
PM, SOS), file transfers, printer and window commands do not. Only whole sequences are let through: whatever is cut
off, or written by paude in between, the terminal is never inside one. Sequences: ECMA-48, xterm's ctlseqs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_TEXT = 4096  # an OSC with a title or a link, in bytes
LONGEST_CLIPBOARD = 64 * 1024
LONGEST_TITLE = 200  # characters
_LONGEST_LINK = 2048

# DEC private modes: cursor keys, flash, origin, wrap, cursor, mouse, focus, alternate screens, paste, synchronized.
MODES = frozenset(
    b"1 5 6 7 12 25 47 1000 1002 1003 1004 1005 1006 1007 1015 1047 1048 1049 2004 2026".split(),
)
_ANSI_MODES = frozenset((b"4", b"34"))  # insert, block cursor

# UTF-8 without C1 controls (U+0080 to U+009F), overlong forms and surrogates.
_UTF8 = (
    rb"\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_PLAIN = rb"[\x07-\x0f\x20-\x7e]++"
_NUMBERS = rb"[0-9]{0,5}(?:;[0-9]{0,5}){0,3}"
# Movement, insertion and deletion, erasure (not of what has scrolled off: 3J), tabs, scroll region, colours.
_DRAWING = rb"\x1b\[(?:[0-9;:]{0,128}m|%b[@A-IK-MPSXZ`abdefgr]|[0-2]?J|[0-9]{0,5}T|[su])" % _NUMBERS
_SWITCHES = rb"\x1b\[\?(?:%b)[hl]|\x1b\[[0-6]? q" % b"|".join(sorted(MODES))
_SIMPLE = rb"\x1b[78=>DEHM]|\x1b[()*+][0AB]"
_SAFE = re.compile(rb"(?:%b)++" % b"|".join((_PLAIN, _DRAWING, _UTF8, _SIMPLE, _SWITCHES)))

_CSI_BEGUN = rb"\x1b\[[<=>?]?[0-9:;]{0,128}[ -/]{0,2}"
_CSI = re.compile(rb"\x1b\[([<=>?]?)([0-9:;]{0,128})([ -/]{0,2})([@-~])")
_OSC_BODY = rb"\x1b\]([^\x07\x18\x1a\x1b]{0,%d})"
_STRING = re.compile(rb"\x1b[PX^_k\]]")
# A sequence that is not let through, as far as it goes: the rest of what looked like one is text.
_REFUSED = re.compile(rb"%b[@-~]?|\x1b[ -/]{1,2}[0-~]?|\x1b[0-~]?|." % _CSI_BEGUN, re.DOTALL)
_JUNK = re.compile(rb"(?:[\x00-\x06\x10-\x1a\x1c-\x1f\x7f-\xc1\xf5-\xff]|\xc2[\x80-\x9f])++")
_UNFINISHED_UTF8 = rb"[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2}"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LINK = re.compile(rb"8;((?:id=[!-9<-~]{1,256})?);(https?://[!-~]{1,%d}|)" % _LONGEST_LINK)
_COLOUR = re.compile(rb"12;[#0-9A-Za-z:/]{1,32}|112;?")
_CLIPBOARD = re.compile(rb"52;[cpqs0-7]{0,8};[0-9A-Za-z+/=]*")
_NO_LINK = b"8;;"


class TerminalFilter:
    """Feed it what the pod prints; it gives what may be written to the terminal. `clipboard` also allows OSC 52."""

    def __init__(self, *, clipboard: bool = False) -> None:
        body = _OSC_BODY % (LONGEST_CLIPBOARD if clipboard else LONGEST_TEXT)
        self._osc = re.compile(rb"%b(\x07|\x1b\\)" % body)
        self._unfinished = re.compile(
            rb"(?:%b|%b|\x1b[ -/]{0,2}|%b\x1b?)\Z" % (_UNFINISHED_UTF8, _CSI_BEGUN, body),
        )
        self._clipboard = clipboard
        self._held = b""
        self._ends: re.Pattern[bytes] | None = None  # of the string that is being dropped

    def feed(self, data: bytes) -> bytes:
        """What may pass of `data`; a sequence that is cut in two is held back until its rest comes."""
        return b"".join(self._pieces(self._held + data if self._held else data))

    def _pieces(self, text: bytes) -> Iterator[bytes]:
        self._held = b""
        at = 0
        while at < len(text):
            if self._ends is not None:
                at = self._drop(self._ends, text, at)
            elif safe := _SAFE.match(text, at):
                yield safe[0]
                at = safe.end()
            elif junk := _JUNK.match(text, at):
                at = junk.end()
            elif self._unfinished.match(text, at):
                self._held = text[at:]
                return
            else:
                piece, at = self._judge(text, at)
                yield piece

    def _judge(self, text: bytes, at: int) -> tuple[bytes, int]:
        """What becomes of the whole sequence, or of the byte, at `at`; and where to go on."""
        if csi := _CSI.match(text, at):
            return _csi(*csi.groups()), csi.end()
        if osc := self._osc.match(text, at):
            return self._text(osc[1], osc[2]), osc.end()
        if _STRING.match(text, at):
            self._ends = _OSC_ENDS if text[at + 1] == _OSC else _STRING_ENDS
            return b"", at + 2
        refused = _REFUSED.match(text, at)
        assert refused is not None
        return b"", refused.end()

    def _drop(self, ends: re.Pattern[bytes], text: bytes, at: int) -> int:
        end = ends.search(text, at)
        if end is None:
            return len(text)
        self._ends = None
        # An escape is looked at again: it begins the terminator, which alone is nothing, or something else.
        return end.start() if end[0] == b"\x1b" else end.end()

    def _text(self, body: bytes, end: bytes) -> bytes:
        allowed = _title(body) or _link(body) or (body if _COLOUR.fullmatch(body) else b"")
        if self._clipboard and _CLIPBOARD.fullmatch(body):
            allowed = body
        return b"\x1b]%b%b" % (allowed, end) if allowed else b""


_OSC = ord("]")
_OSC_ENDS = re.compile(rb"[\x07\x18\x1a\x1b]")
_STRING_ENDS = re.compile(rb"[\x18\x1a\x1b]")


def _title(body: bytes) -> bytes:
    if body[:2] not in (b"0;", b"1;", b"2;"):
        return b""
    text = _CONTROL.sub("", body[2:].decode("utf-8", "ignore"))
    return body[:2] + text[:LONGEST_TITLE].encode()


def _link(body: bytes) -> bytes:
    if not body.startswith(b"8;"):
        return b""
    # Not just left out: what follows would belong to the link before.
    return body if _LINK.fullmatch(body) else _NO_LINK


def _csi(kind: bytes, numbers: bytes, between: bytes, final: bytes) -> bytes:
    """The control sequence, what is left of it, or nothing."""
    sort = (kind, between, final)
    if sort in _MODES_OF:
        modes = [number for number in numbers.split(b";") if number in _MODES_OF[sort]]
        return b"\x1b[%b%b%b" % (kind, b";".join(modes), final) if modes else b""
    rule = _RULES.get(sort)
    return b"\x1b[%b%b%b%b" % (kind, numbers, between, final) if rule and rule.fullmatch(numbers) else b""


_MODES_OF = {
    (b"?", b"", b"h"): MODES,
    (b"?", b"", b"l"): MODES,
    (b"", b"", b"h"): _ANSI_MODES,
    (b"", b"", b"l"): _ANSI_MODES,
}
# Beside what `_SAFE` has: saving and restoring the title, modified keys.
_RULES = {
    (b"", b"", b"t"): re.compile(rb"2[23](?:;[0-2]){0,2}"),
    (b">", b"", b"m"): re.compile(rb"4(?:;[0-2])?"),
}
