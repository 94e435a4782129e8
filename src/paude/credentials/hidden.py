"""Secrets as values that do not show themselves."""

from __future__ import annotations

import hmac
from typing import NoReturn

from paude import redaction


class Hidden:
    """A secret that no repr, message, log line or pickle shows; `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value
        redaction.hold(value)

    def reveal(self) -> bytes:
        """The secret itself: for the one place that hands it on."""
        return self._value

    def __repr__(self) -> str:
        return "Hidden(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(Hidden)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
