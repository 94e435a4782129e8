"""Less of what a namespace or a node does not have: the words to start with instead. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paude.egress.policies import ALLOWLIST
from paude.errors import QuotaExceeded
from paude.settings.quantity import PATTERN, amount
from paude.settings.table import Resources

if TYPE_CHECKING:
    from paude.backends.kubernetes.surroundings import Room

Object = Mapping[str, Any]

SMALL = "--cpu-request 250m --memory-request 1Gi"
"""What an agent can work with, where nobody knows how much is free."""

# The words of the quota plug-in (kubernetes, plugin/pkg/admission/resourcequota).
_EXCEEDED = re.compile(r"requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>\S+)")
_NAMES = {"cpu": "requests.cpu", "memory": "requests.memory"}
# Thousandths of a processor, and bytes.
_STEP = {"cpu": 50, "memory": 64 * 1024**2}
_ASKED = tuple(f"{kind}.{of}" for kind in ("requests", "limits") for of in _STEP)
# More than any quota gives: an amount that is written in another way than these here are.
_UNKNOWN = 1 << 62


def within_quota(
    refused: QuotaExceeded,
    wanted: Resources,
    session: Mapping[str, int],
    others: Mapping[str, int],
    rooms: Iterable[Room] = (),
) -> QuotaExceeded | None:
    """The same refusal, with the flags of a session that fits, or with the word that none does; None if it all fits.

    `session` is what its pods count for together (`counts`), `others` what every other pod does that is there to stay,
    `rooms` are all that the quotas say: a refusal is about one pod and one quota, and the next would be about another.
    What is said to be in use depends on its moment: pods of this very session may be in it or not, and those that are
    ending are, until they have ended. So it is only an upper bound, for a quota that is not about all pods.
    """
    told = list(_told(refused.why or ""))
    if not told or any(one.name not in _ASKED for one in told):
        return refused
    named, fitting, why = {one.name for one in told}, dict[str, int](), refused.why or ""
    for one in (*told, *_of_rooms(rooms)):
        name, step = one.name, _STEP[one.name.partition(".")[2]]
        free, asked = one.limited - min(one.used, others.get(name, 0)), _own(name, wanted)
        left = free - (session.get(name, 0) - asked)
        if left >= asked:
            continue
        fitting[name] = min(left // step * step, fitting.get(name, left))
        if name not in named:
            needed = _words(name, session.get(name, 0))
            why += f"\n{one.quota} leaves {_words(name, max(free, 0))} of {name}; the session's pods ask for {needed}"
    if not fitting:
        return None
    if min(fitting.values()) <= 0:
        hint = "nothing of it is left: `paude sessions` shows what runs, `paude stop NAME` ends a session"
        return QuotaExceeded(refused.what, why=why, hint=hint)
    for of in _STEP:  # a request may not be above its limit
        request, limit = f"requests.{of}", fitting.get(f"limits.{of}")
        if limit is not None and fitting.get(request, _own(request, wanted)) > limit:
            fitting[request] = limit
    flags = " ".join(f"{_flag(name)} {_words(name, value)}" for name, value in sorted(fitting.items()))
    fits = {f"resources.{name}": _words(name, value) for name, value in fitting.items()}
    hint = f"what is left is enough for `paude start {flags}`"
    return QuotaExceeded(refused.what, why=why, hint=hint, fits=fits)


def _own(name: str, wanted: Resources) -> int:
    kind, _, of = name.partition(".")
    return _whole(name, getattr(wanted.requests if kind == "requests" else wanted.limits, of))


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
        for name in _ASKED:
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


@dataclass(frozen=True)
class _Limit:
    """What a quota says of one resource: how much is in use, and how much there is."""

    name: str
    used: int
    limited: int
    quota: str = ""


def _told(message: str) -> Iterator[_Limit]:
    """Each resource that does not suffice."""
    found = _EXCEEDED.search(message)
    if found is None:
        return
    requested, used, limited = (dict(_pairs(found[part])) for part in ("requested", "used", "limited"))
    for name in requested:
        yield _Limit(_NAMES.get(name, name), used.get(name, 0), limited.get(name, 0))


def _of_rooms(rooms: Iterable[Room]) -> Iterator[_Limit]:
    for room in rooms:
        name = _NAMES.get(room.resource, room.resource)
        if name in _ASKED and all(re.fullmatch(PATTERN, quantity) for quantity in (room.used, room.hard)):
            yield _Limit(name, _whole(name, room.used), _whole(name, room.hard), room.quota)


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
