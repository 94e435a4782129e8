"""What the proxy refused, read from its log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from paude.egress.squid import INNER_PORT

_LONGEST = 253


@dataclass(frozen=True)
class Denied:
    """A refused destination: how often, and when last (seconds since the epoch). `port` is 0 when there was none."""

    host: str
    port: int
    method: str
    count: int
    last: float


def denied(lines: Iterable[str]) -> list[Denied]:
    """The refusals among lines of the proxy's log, the latest first; lines that are not of the log are passed over."""
    found: dict[tuple[str, int, str], Denied] = {}
    for one in filter(None, map(parse, lines)):
        key = (one.host, one.port, one.method)
        before = found.get(key)
        found[key] = one if before is None else replace(one, count=before.count + 1, last=max(before.last, one.last))
    return sorted(found.values(), key=lambda one: -one.last)


def parse(line: str) -> Denied | None:
    """The refusal that one line of the log tells of, or None."""
    try:
        entry = json.loads(line)
        return Denied(*_target(entry), 1, float(entry["time"])) if _is_refusal(entry) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_refusal(entry: dict[str, str]) -> bool:
    if entry["door"] == str(INNER_PORT):
        not_tls = entry["tls"] == "peek" and entry["result"] == "NONE_NONE"
        return entry["tls"] == "terminate" or not_tls
    return "DENIED" in entry["result"]


def _target(entry: dict[str, str]) -> tuple[str, int, str]:
    port = entry["port"]
    return _shown(entry["host"]), int(port) if port.isdecimal() else 0, _shown(entry["method"])


def _shown(escaped: str) -> str:
    """At most 253 characters that a terminal only prints: the host was written by the agent."""
    text = unquote(escaped)[:_LONGEST]
    return "".join(character if character.isprintable() else "?" for character in text)


def allowable(refusals: Iterable[Denied]) -> Iterator[str]:
    """The hosts among refusals that an allowlist could hold: asked for by CONNECT at port 443."""
    for one in refusals:
        if one.method == "CONNECT" and one.port == 443:
            yield one.host
