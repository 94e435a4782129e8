"""What may not come out of the pod, for what travels by git and not by sync: the same list, read the same way.

The judge of the sync itself is in `containers/mutagen/guard`; both are tested with the same table.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

from paude import artifacts

_VARIATION_SELECTORS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


@dataclass(frozen=True)
class _Tier1:
    exact: frozenset[str]
    patterns: re.Pattern[str]
    exceptions: frozenset[str]


@cache
def _tier1() -> _Tier1:
    text = artifacts.path("containers/mutagen/guard/tier1.txt").read_text("utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    exceptions = {line[1:] for line in lines if line.startswith("!")}
    patterns = [line for line in lines if re.search(r"[*?\[]", line)]
    exact = set(lines) - set(patterns)
    return _Tier1(frozenset(exact), re.compile("|".join(map(translate, patterns))), frozenset(exceptions))


def fold(name: str) -> str:
    """The form in which names are compared, whatever spelling a file system or a tool takes for the same."""
    text = unicodedata.normalize("NFKD", name)
    text = "".join(c for c in _VARIATION_SELECTORS.sub("", text) if unicodedata.category(c) not in ("Cf", "Cc"))
    text = unicodedata.normalize("NFKC", text).casefold()
    head = text.split(":", 1)[0] if text.find(":") > 0 else text
    return head.rstrip(". \t")


@cache
def name_is_held(name: str) -> bool:
    """Whether one part of a path is of tier 1."""
    if any(unicodedata.category(c) == "Cc" for c in name):
        return True
    known, folded = _tier1(), fold(name)
    if not folded or folded in known.exact:
        return True
    return folded not in known.exceptions and known.patterns.match(folded) is not None


def path_is_held(path: str) -> bool:
    """Whether any part of a slash-separated path is of tier 1."""
    return any(name_is_held(part) for part in path.split("/") if part not in ("", ".", ".."))
