"""The filter through which everything goes that paude prints or logs: secrets become `[hidden]`. Pure, but for what
it remembers.

Two nets, one behind the other: secrets that this process has held in its hands, in every form in which they may turn
up, and whatever looks like a secret by its form. What a remote program prints through `paude exec` or a terminal is
that program's and passes unchanged.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from threading import RLock
from typing import TextIO
from urllib.parse import quote

HIDDEN = "[hidden]"
_SHORTEST = 8  # what is shorter turns up by chance, and is no secret worth the name
_WORD = 16  # and letters alone, up to here, may be a word that people use
_held: set[str] = set()

# Forms with a mark of their own, as their makers document them; the mark stays, so that a reader knows what it was.
_FORMS = (
    r"(sk-ant-)[A-Za-z0-9_-]{8,}",
    r"(sk-(?:proj-)?)[A-Za-z0-9_-]{20,}",
    r"(ya29\.)[A-Za-z0-9._-]{8,}",
    r"(\b1//)[A-Za-z0-9_-]{20,}",
    r"(GOCSPX-)[A-Za-z0-9_-]{8,}",
    r"(AIza)[A-Za-z0-9_-]{30,}",
    r"(sha256~)[A-Za-z0-9_-]{20,}",
    r"(\bgh[pousr]_)[A-Za-z0-9]{20,}",
    r"(\bgithub_pat_)[A-Za-z0-9_]{20,}",
    r"(\bglpat-)[A-Za-z0-9_-]{16,}",
    r"(\bxox[abpors]-)[A-Za-z0-9-]{10,}",
    r"(\bAKIA)[A-Z0-9]{16}\b",
    r"(\beyJ)[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?",
    r"((?i:\bbearer )|(?i:\bbasic ))[A-Za-z0-9._~+/=-]{16,}",
    r"(\b[a-z][a-z0-9+.-]{1,20}://)[^/\s:@]{0,100}:[^/\s@]{1,300}(?=@)",
    r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[\s\S]*?(?:(?=-----END)|\Z)",
)


# A private key whose end has not come yet, and what may come next of it.
_BEGUN_KEY = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]*-{0,5}\Z"
_IN_KEY = r"[A-Za-z0-9+/=\s]*(?:-{1,5}END|-{0,5}\Z|\n)"
_LONGEST = 16 * 1024


def hold(value: str | bytes) -> None:
    """Remember a secret: from now on it is hidden wherever it turns up."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    for part in {text, text.strip(), *_inner(text)}:
        if len(part) >= _SHORTEST and not (part.isalpha() and len(part) < _WORD):
            _held.update(_forms_of(part))
    _known.cache_clear()


def looks_secret(text: str) -> bool:
    """Whether something in it has the form of a secret."""
    return _shapes().search(text) is not None


def redact(text: str) -> str:
    """`text` without secrets; what holds none comes back as it was."""
    if _held and (known := _known()) is not None:
        text = known.sub(HIDDEN, text)
    return _shapes().sub(lambda found: f"{next(filter(None, found.groups()))}{HIDDEN}", text)


class Redacted:
    """A stream that writes nothing secret; everything else of it is the stream's own.

    A secret may come in several writes: a line is written when it is whole or when it is flushed, and what comes after
    a flush is looked at together with what came before. A private key may also come in several lines.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._given = ""  # since the beginning of the line, or of the key
        self._shown = ""  # of it
        self._turn = RLock()  # a display draws in a thread of its own

    def write(self, text: str) -> int:
        """Write the text without secrets; gives the length of what was given, as callers expect."""
        with self._turn:
            if re.search(_BEGUN_KEY, self._given) and not re.match(_IN_KEY, text):
                self._begin_line()
            self._given += text
            if "\n" in text:
                self._end_line()
        return len(text)

    def flush(self) -> None:
        """Write what there is of a line."""
        with self._turn:
            self._show(self._given)
            if len(self._given) > _LONGEST:
                self._given = self._shown = ""
            self._stream.flush()

    def writelines(self, lines: list[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _end_line(self) -> None:
        lines = self._given[: self._given.rindex("\n") + 1]
        self._show(lines)
        if not re.search(_BEGUN_KEY, lines) or len(lines) > _LONGEST:
            self._begin_line()

    def _begin_line(self) -> None:
        self._given = self._given[self._given.rfind("\n") + 1 :]
        self._shown = ""

    def _show(self, given: str) -> None:
        text = redact(given)
        known = len(self._shown)
        if not text.startswith(self._shown):  # what was shown has become a secret's beginning
            known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, self._shown, strict=False)))
        self._shown = text
        if text[known:]:
            self._stream.write(text[known:])


def _inner(text: str) -> Iterator[str]:
    """The secrets inside of a file of them: what stands in JSON under a name that says so."""
    if not text.lstrip().startswith("{"):
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from (v for k, v in one.items() if isinstance(v, str) and re.search(_SECRET_NAME, str(k)))
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


_SECRET_NAME = r"(?i)secret|token$|private_key$|password|accessToken|refreshToken"


def _forms_of(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield data.hex()
    for shift in range(3):
        # Inside of longer base64 it can begin at any of three places; the ends depend on the neighbours.
        whole = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        yield whole[4 if shift else 0 : -1]
    yield from (line for line in secret.splitlines() if len(line) >= 4 * _SHORTEST)


@lru_cache(maxsize=1)
def _known() -> re.Pattern[str] | None:
    # The longest first: a secret may contain another.
    words = sorted((re.escape(one) for one in _held if len(one) >= _SHORTEST), key=len, reverse=True)
    return re.compile("|".join(words)) if words else None


@lru_cache(maxsize=1)
def _shapes() -> re.Pattern[str]:
    return re.compile("|".join(_FORMS))
