"""Less of what a namespace or a node does not have: the words to start with instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from paude.errors import QuotaExceeded
from paude.settings.quantity import PATTERN, amount
from paude.settings.table import Proxy, Resources

SMALL = "--cpu-request 250m --memory-request 1Gi"
"""What an agent can work with, where nobody knows how much is free."""

# The words of the quota plug-in (kubernetes, plugin/pkg/admission/resourcequota).
_EXCEEDED = re.compile(r"requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>\S+)")
_NAMES = {"cpu": "requests.cpu", "memory": "requests.memory"}
# Thousandths of a processor, and bytes.
_STEP = {"cpu": 50, "memory": 64 * 1024**2}


def within_quota(refused: QuotaExceeded, wanted: Resources, beside: Mapping[str, str] | None = None) -> QuotaExceeded:
    """The same refusal, with the flags of a session that fits, or with the word that none does.

    `beside` is what else will be asked for and is not counted yet, by the quota's names (`limits.cpu`).
    """
    over = dict(_over(refused.why or ""))
    own = {"requests": wanted.requests, "limits": wanted.limits}
    fitting: dict[str, int] = {}
    for name in over:
        kind, _, of = name.partition(".")
        if kind not in own or of not in _STEP:
            return refused
        left = _whole(name, getattr(own[kind], of)) - over[name] - _whole(name, (beside or {}).get(name, "0"))
        fitting[name] = left // _STEP[of] * _STEP[of]
    if not fitting:
        return refused
    if min(fitting.values()) <= 0:
        hint = "nothing of it is left: `paude sessions` shows what runs, `paude stop NAME` ends a session"
        return QuotaExceeded(refused.what, why=refused.why, hint=hint)
    for of in _STEP:  # a request may not be above its limit
        request, limit = f"requests.{of}", fitting.get(f"limits.{of}")
        if limit is not None and fitting.get(request, _whole(request, getattr(wanted.requests, of))) > limit:
            fitting[request] = limit
    flags = " ".join(f"{_flag(name)} {_words(name, value)}" for name, value in sorted(fitting.items()))
    fits = {f"resources.{name}": _words(name, value) for name, value in fitting.items()}
    hint = f"what is left is enough for `paude start {flags}`"
    return QuotaExceeded(refused.what, why=refused.why, hint=hint, fits=fits)


def needs(settings: Proxy) -> dict[str, str]:
    """What a proxy counts for, by the quota's names."""
    parts = {"requests": settings.requests, "limits": settings.limits}
    return {f"{kind}.{of}": getattr(part, of) for kind, part in parts.items() for of in _STEP}


def _over(message: str) -> Iterator[tuple[str, int]]:
    """By how much each resource goes beyond the quota."""
    found = _EXCEEDED.search(message)
    if found is None:
        return
    parts = [dict(_pairs(found[part])) for part in ("requested", "used", "limited")]
    for name in parts[0]:
        requested, used, limited = (part.get(name, 0) for part in parts)
        yield _NAMES.get(name, name), requested + used - limited


def _pairs(words: str) -> Iterator[tuple[str, int]]:
    for word in words.rstrip(".").split(","):
        name, _, quantity = word.partition("=")
        if re.fullmatch(PATTERN, quantity):
            yield name, _whole(name, quantity)


def _whole(name: str, quantity: str) -> int:
    return round(amount(quantity) * (1000 if name.endswith("cpu") else 1))


def _flag(name: str) -> str:
    kind, _, of = name.partition(".")
    return f"--{of}-request" if kind == "requests" else f"--{of}"


def _words(name: str, value: int) -> str:
    return f"{value}m" if name.endswith("cpu") else f"{value // 1024**2}Mi"
