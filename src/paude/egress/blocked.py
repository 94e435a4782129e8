"""What the proxy refused, read from its log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from paude.egress import hosts
from paude.egress.squid import INNER_PORT

_LONGEST = 253


@dataclass(frozen=True)
class Denied:
    """A refused destination: how often, and when last (seconds since the epoch). `port` is 0 when there was none.

    `why` is empty for a name that is not on the list (or leads to no public address); else what was wrong with it.
    """

    host: str
    port: int
    method: str
    count: int
    last: float
    why: str = ""


def denied(lines: Iterable[str], client: str | None = None, since: float = 0.0) -> list[Denied]:
    """The refusals among lines of the proxy's log, the latest first; lines that are not of the log are passed over.

    With `client` only those of that address, from `since` (seconds since the epoch) on: addresses are used again.
    """
    tally = Tally()
    for one in filter(None, (parse(line, client, since) for line in lines)):
        tally.add(one)
    return tally.latest_first()


class Tally:
    """Refusals one by one, each told with how often it has happened by then."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str, str], Denied] = {}

    def add(self, one: Denied) -> Denied:
        """The refusal with the count of its kind so far."""
        key = (one.host, one.port, one.method, one.why)
        before = self._seen.get(key)
        now = one if before is None else replace(one, count=before.count + one.count, last=max(before.last, one.last))
        self._seen[key] = now
        return now

    def latest_first(self) -> list[Denied]:
        """One for each kind."""
        return sorted(self._seen.values(), key=lambda one: -one.last)


def parse(line: str, client: str | None = None, since: float = 0.0) -> Denied | None:
    """The refusal that one line of the log tells of, or None."""
    try:
        entry = json.loads(line)
        if not _is_refusal(entry) or client not in {None, entry["client"]} or float(entry["time"]) < since:
            return None
        return Denied(*_target(entry), 1, float(entry["time"]), _why(entry))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_refusal(entry: dict[str, str]) -> bool:
    if entry["door"] == str(INNER_PORT):
        not_tls = entry["tls"] == "peek" and entry["result"] == "NONE_NONE"
        return entry["tls"] == "terminate" or not_tls
    return "DENIED" in entry["result"]


def _why(entry: dict[str, str]) -> str:
    if entry["door"] == str(INNER_PORT):
        if entry["tls"] == "peek":
            return "not TLS"
        return "no server name" if entry["sni"] == "-" else f"asked for {_shown(entry['sni'])} in the tunnel"
    if entry["method"] != "CONNECT":
        return "not HTTPS"
    return "" if entry["port"] == "443" else "port"


def _target(entry: dict[str, str]) -> tuple[str, int, str]:
    port = entry["port"]
    return _shown(entry["host"]), int(port) if port.isdecimal() else 0, _shown(entry["method"])


def _shown(escaped: str) -> str:
    """At most 253 characters that a terminal only prints: the host was written by the agent."""
    text = unquote(escaped)[:_LONGEST]
    return "".join(character if character.isprintable() else "?" for character in text)


def allowable(refusals: Iterable[Denied]) -> Iterator[str]:
    """The hosts among refusals that an allowlist could hold: names, asked for by CONNECT at port 443."""
    for one in refusals:
        if not one.why and hosts.is_name(one.host):
            yield one.host
