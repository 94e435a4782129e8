"""What a WebSocket server sends (RFC 6455, section 5), cut up as it comes. Pure.

Long messages need not be whole before they are passed on, nor be copied to be put together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from websockets.frames import Opcode

_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_SHORT, _TWO_BYTES = 125, 126
_CONTROL = 0x08


class BadFrame(Exception):
    """The other end does not speak the protocol, or not this part of it."""


@dataclass(frozen=True)
class Control:
    """A whole control frame, header and all."""

    raw: bytes


@dataclass(frozen=True)
class Part:
    """A piece of a binary message: `first` and `last` say whether it begins and whether it ends one."""

    data: memoryview
    first: bool
    last: bool


class ServerFrames:
    """Feed it what a server sends: control frames come whole, binary messages in pieces."""

    def __init__(self) -> None:
        self._rest = b""  # of a header, or of a control frame
        self._left = 0  # bytes of the message's frame that are still to come
        self._final = True
        self._first = False

    def feed(self, data: bytes) -> Iterator[Control | Part]:
        """The frames in `data`, in order. Raises BadFrame for what a server must not send here."""
        view = memoryview(self._rest + data if self._rest else data)
        self._rest = b""
        at = 0
        while at < len(view):
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                yield self._part(piece)
                continue
            found = _head(view, at)
            if found is None:
                self._rest = bytes(view[at:])
                return
            opcode, final, begin, length = found
            if opcode & _CONTROL:
                if length > _SHORT:
                    raise BadFrame("a control frame that is too long")
                if begin + length > len(view):
                    self._rest = bytes(view[at:])
                    return
                yield Control(bytes(view[at : begin + length]))
                at = begin + length
            else:
                self._begin(opcode, final, length)
                at = begin
                if not length:
                    yield self._part(view[:0])

    def _begin(self, opcode: int, final: bool, length: int) -> None:
        if opcode not in (Opcode.BINARY, Opcode.CONT) or (opcode == Opcode.BINARY) != self._final:
            raise BadFrame(f"a frame of kind {opcode}")
        self._first = opcode == Opcode.BINARY
        self._final, self._left = final, length

    def _part(self, piece: memoryview) -> Part:
        self._left -= len(piece)
        first, self._first = self._first, False
        return Part(piece, first, self._final and not self._left)


def _head(view: memoryview, at: int) -> tuple[int, bool, int, int] | None:
    """Opcode, whether it ends its message, where the payload begins and how long it is; None while it is cut off."""
    if len(view) - at < 2:
        return None
    first, second = view[at], view[at + 1]
    if first & _RESERVED or second & _MASKED:
        raise BadFrame("reserved bits, or a mask")
    length, begin = second, at + 2
    if length > _SHORT:
        form = "!H" if length == _TWO_BYTES else "!Q"
        begin += struct.calcsize(form)
        if len(view) < begin:
            return None
        (length,) = struct.unpack_from(form, view, at + 2)
    return first & 0x0F, bool(first & _FIN), begin, length
