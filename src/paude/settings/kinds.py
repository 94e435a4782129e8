"""The kinds of values that settings have: how each is read from JSON and from a word, and how a schema tells it.

Pure. A kind raises ValueError with the reason for what it does not take.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from paude.settings import quantity

T = TypeVar("T")
Schema = Mapping[str, object]
Pairs = tuple[tuple[str, str], ...]

_LONGEST = 4096
_DURATION = r"([0-9]+h)?([0-9]+m)?([0-9]+s)?"
# Kubernetes, apimachinery util/validation: a qualified name, and a label's value.
_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL = rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_PART}"
_LABEL_VALUE = rf"({_PART})?"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of values: its name for people, its JSON schema, and the two ways in.

    `parse` takes what JSON holds, `from_text` makes that of an environment variable's text.
    """

    name: str
    schema: Schema
    parse: Callable[[object], T]
    from_text: Callable[[str], object] = str


@dataclass(frozen=True)
class Toleration:
    """A taint that the pods of a session bear, as the Kubernetes API names its parts; "" for any."""

    key: str
    value: str = ""
    effect: str = ""


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is wanted")
    if len(value) > _LONGEST or not value.isprintable():
        raise ValueError("it is too long, or not printable")
    return value


def _matching(pattern: str, wanted: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        plain = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if not isinstance(plain, str) or not re.fullmatch(pattern, plain):
            raise ValueError(wanted)
        return plain

    return parse


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is wanted")
    return value


def _flag_from_text(text: str) -> object:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words.get(text.strip().lower(), text)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError("a whole number, 0 or more, is wanted")
    return value


def _count_from_text(text: str) -> object:
    return int(text) if text.isascii() and text.isdigit() else text


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) and value else None
    if not found:
        raise ValueError("a duration such as 90s, 30m, 4h or 1h30m, or a number of seconds, is wanted")
    sizes = (3600, 60, 1)
    return float(sum(int(part[:-1]) * size for part, size in zip(found.groups(), sizes, strict=True) if part))


def _seconds_from_text(text: str) -> object:
    return int(text) if text.isascii() and text.isdigit() else text


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of strings is wanted")
    return tuple(_word(one) for one in value)


def _words_from_text(text: str) -> object:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(value: object) -> Pairs:
    if not isinstance(value, Mapping):
        raise ValueError("an object of strings is wanted")
    return tuple((_word(key), _word(given)) for key, given in value.items())


def _labels(value: object) -> Pairs:
    pairs = _pairs(value)
    for key, given in pairs:
        if not re.fullmatch(_LABEL, key) or not re.fullmatch(_LABEL_VALUE, given):
            raise ValueError(f"{key}={given} is no label that Kubernetes takes")
        if key.split("/")[0] in {"paude.io", "kubernetes.io"} or key.startswith("app.kubernetes.io/"):
            raise ValueError(f"the label {key} is not yours to set")
    return pairs


def _selector(value: object) -> Pairs:
    pairs = _pairs(value)
    for key, given in pairs:
        if not re.fullmatch(_LABEL, key) or not re.fullmatch(_LABEL_VALUE, given):
            raise ValueError(f"{key}={given} is no label that Kubernetes takes")
    return pairs


def _pairs_from_text(text: str) -> object:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    pairs = [word.partition("=") for word in text.split(",") if word.strip()]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _tolerations(value: object) -> tuple[Toleration, ...]:
    return tuple(_toleration(word) for word in _words(value))


def _toleration(word: str) -> Toleration:
    rest, colon, effect = word.partition(":")
    key, _, value = rest.partition("=")
    known = effect in _EFFECTS if colon else True
    if not known or not re.fullmatch(_LABEL, key) or not re.fullmatch(_LABEL_VALUE, value):
        raise ValueError(f"{word!r} is no taint: KEY[=VALUE][:EFFECT], EFFECT one of {', '.join(_EFFECTS)}")
    return Toleration(key, value, effect)


_STRING: Schema = {"type": "string"}
_STRINGS: Schema = {"type": "array", "items": {"type": "string"}}
_OBJECT: Schema = {"type": "object", "additionalProperties": {"type": "string"}}

TEXT = Kind("text", _STRING, _word)
FILE = Kind("file", _STRING, _word)
FLAG = Kind("true or false", {"type": "boolean"}, _flag, _flag_from_text)
COUNT = Kind("number", {"type": "integer", "minimum": 0}, _count, _count_from_text)
QUANTITY = Kind(
    "quantity",
    {"type": ["string", "number"], "pattern": f"^{quantity.PATTERN}$"},
    _matching(quantity.PATTERN, "a quantity such as 500m, 2, 512Mi or 8Gi is wanted"),
)
DURATION = Kind(
    "duration", {"type": ["string", "number"], "pattern": f"^{_DURATION}$", "minimum": 0}, _seconds, _seconds_from_text
)
WORDS = Kind("list", _STRINGS, _words, _words_from_text)
PAIRS = Kind("names and values", _OBJECT, _pairs, _pairs_from_text)
LABELS = Kind("labels", _OBJECT, _labels, _pairs_from_text)
SELECTOR = Kind("labels", _OBJECT, _selector, _pairs_from_text)
TOLERATIONS = Kind("list", _STRINGS, _tolerations, _words_from_text)


def choice(*words: str) -> Kind[str]:
    """One of `words`; the empty one means that nothing was chosen."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"one of {', '.join(word for word in words if word)} is wanted")
        return value

    named = [word for word in words if word]
    return Kind(" or ".join(named), {"enum": list(words)}, parse)
