"""Less of what a namespace or a node does not have: the words to start with instead. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from paude.egress.policies import ALLOWLIST
from paude.errors import QuotaExceeded
from paude.settings.quantity import PATTERN, amount
from paude.settings.table import Resources

Object = Mapping[str, Any]

SMALL = "--cpu-request 250m --memory-request 1Gi"
"""What an agent can work with, where nobody knows how much is free."""

# The words of the quota plug-in (kubernetes, plugin/pkg/admission/resourcequota).
_EXCEEDED = re.compile(r"requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>\S+)")
_NAMES = {"cpu": "requests.cpu", "memory": "requests.memory"}
# Thousandths of a processor, and bytes.
_STEP = {"cpu": 50, "memory": 64 * 1024**2}
# More than any quota gives: an amount that is written in another way than these here are.
_UNKNOWN = 1 << 62


def within_quota(
    refused: QuotaExceeded, wanted: Resources, session: Mapping[str, int], others: Mapping[str, int]
) -> QuotaExceeded | None:
    """The same refusal, with the flags of a session that fits, or with the word that none does; None if it all fits.

    `session` is what its pods count for together (`counts`), `others` what every other pod does that is there to stay.
    What the refusal says to be in use depends on its moment: pods of this very session may be in it or not, and those
    that are ending are, until they have ended. So it is only an upper bound, for a quota that is not about all pods.
    """
    own = {"requests": wanted.requests, "limits": wanted.limits}
    told = dict(_told(refused.why or ""))
    fitting: dict[str, int] = {}
    for name, (used, limited) in told.items():
        kind, _, of = name.partition(".")
        if kind not in own or of not in _STEP:
            return refused
        asked = _whole(name, getattr(own[kind], of))
        left = limited - min(used, others.get(name, 0)) - (session.get(name, 0) - asked)
        if left < asked:
            fitting[name] = left // _STEP[of] * _STEP[of]
    if not fitting:
        return None if told else refused
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


def others(pods: Iterable[Object], session: str, allowlist: str) -> Iterator[Object]:
    """The specs of the pods that stay and count, but for the session's own pod and the proxy of its list."""
    for pod in pods:
        meta = pod["metadata"]
        ends = "deletionTimestamp" in meta or (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        proxies = (meta.get("labels") or {}).get(ALLOWLIST) == allowlist
        if not ends and not proxies and meta["name"] != session:
            yield pod["spec"]


def counts(specs: Iterable[Object]) -> Counter[str]:
    """What pods of these specs count for in a quota, by its names (`limits.cpu`): thousandths, bytes.

    A pod counts for the most that it needs at once (kubernetes.io, "Init Containers" and "Pod Overhead").
    """
    total: Counter[str] = Counter()
    for spec in specs:
        for name in (f"{kind}.{of}" for kind in ("requests", "limits") for of in _STEP):
            total[name] += _most(spec, name)
    return total


def _most(spec: Object, name: str) -> int:
    beside = peak = 0  # the sidecars begun so far, and the most until the containers begin
    for one in spec.get("initContainers") or ():
        needed = beside + _asked(one, name)
        peak = max(peak, needed)
        if one.get("restartPolicy") == "Always":
            beside = needed
    running = beside + sum(_asked(one, name) for one in spec["containers"])
    return max(peak, running) + _quantity(spec.get("overhead") or {}, name)


def _asked(container: Object, name: str) -> int:
    return _quantity((container.get("resources") or {}).get(name.partition(".")[0]) or {}, name)


def _quantity(amounts: Object, name: str) -> int:
    quantity = str(amounts.get(name.partition(".")[2], "0"))
    return _whole(name, quantity) if re.fullmatch(PATTERN, quantity) else _UNKNOWN


def _told(message: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Of each resource that does not suffice: how much is in use, and how much there is."""
    found = _EXCEEDED.search(message)
    if found is None:
        return
    requested, used, limited = (dict(_pairs(found[part])) for part in ("requested", "used", "limited"))
    for name in requested:
        yield _NAMES.get(name, name), (used.get(name, 0), limited.get(name, 0))


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
