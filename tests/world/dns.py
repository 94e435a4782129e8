"""An authoritative name server, as small as the tests need it: one question, A, AAAA and PTR records, no caching."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass

KINDS = {1: "A", 12: "PTR", 28: "AAAA"}
NXDOMAIN = 3
TTL_S = 0


@dataclass(frozen=True)
class Question:
    """What was asked: `kind` is a record type's name or its number."""

    id: int
    name: str
    kind: str
    raw: bytes


def parse(message: bytes) -> Question:
    """The question of a query; raises ValueError for what is none."""
    if len(message) < 17 or message[2] & 0x80:
        raise ValueError("no query")
    labels, at = [], 12
    while length := message[at]:
        if length > 63 or at + length + 6 > len(message):
            raise ValueError("no name")
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += length + 1
    (number,) = struct.unpack_from("!H", message, at + 1)
    (ident,) = struct.unpack_from("!H", message)
    return Question(ident, ".".join(labels).lower(), KINDS.get(number, str(number)), message[12 : at + 5])


def answer(question: Question, lookup: Callable[[str, str], list[str] | None]) -> bytes:
    """The response to a question."""
    found = lookup(question.name, question.kind)
    flags = 0x8580 | (NXDOMAIN if found is None else 0)
    records = [_record(question.kind, text) for text in found or []]
    head = struct.pack("!6H", question.id, flags, 1, len(records), 0, 0)
    return head + question.raw + b"".join(records)


def _record(kind: str, text: str) -> bytes:
    number = next(n for n, name in KINDS.items() if name == kind)
    data = _name(text) if kind == "PTR" else ipaddress.ip_address(text).packed
    return struct.pack("!HHHIH", 0xC00C, number, 1, TTL_S, len(data)) + data


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
