"""What the laptop asks of a session's gate, one command per ssh channel.

The protocol is the gate's `control` program: a word with arguments in, one line of JSON out; 0 done, 2 usage,
3 refused. The gate is trusted, but its answers are still parsed as data and nothing more.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from paude.errors import EgressOpen, PaudeError
from paude.process import clean
from paude.ssh.result import Result

REFUSED = 3


@dataclass(frozen=True)
class Fence:
    """The fence's last verdict: `state` is unknown, clean, open or proxy-unreachable."""

    state: str
    targets: tuple[Mapping[str, str], ...] = ()
    at: str = ""

    @property
    def leaks(self) -> tuple[str, ...]:
        """What could be reached and must not be."""
        return tuple(f"{t.get('name')} ({t.get('address')})" for t in self.targets if t.get("result") == "open")


@dataclass(frozen=True)
class Probe:
    """What one probe saw: `result` is closed, open, warning (reachable by Kubernetes' own rules) or unproven."""

    name: str
    address: str
    result: str


@dataclass(frozen=True)
class Renewal:
    """Credentials that the gate makes tokens of: when the last token ends (empty: none made yet), and what failed."""

    kind: str
    expires: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Life:
    """How long the agent has been idle and how old its leave is, and the limits, in seconds; a limit of 0 is none."""

    idle_s: float = 0.0
    idle_limit_s: float = 0.0
    age_s: float = 0.0
    age_limit_s: float = 0.0


@dataclass(frozen=True)
class SyncOwner:
    """The laptop with which the workspace is kept in step: its id, its host's name, since when (ISO 8601)."""

    laptop: str
    host: str
    since: str = ""


@dataclass(frozen=True)
class GateStatus:
    """What the gate knows of its session."""

    session: str
    uid: str
    seeded: bool
    released: bool
    leave: bool
    image_ready: bool
    parked: str
    fence: Fence
    volume_free: int
    history: bool
    credentials: Renewal | None = None
    life: Life = field(default_factory=Life)
    sync_owner: SyncOwner | None = None


class Way(Protocol):
    """What commands go by: an open connection, or a program for each."""

    async def run(self, command: str, *, stdin: AsyncIterable[bytes] | bytes | None = None) -> Result:
        """Run `command` there to its end."""
        ...


class Gate:
    """A gate, by an open connection or otherwise."""

    def __init__(self, connection: Way) -> None:
        self._connection = connection

    async def status(self) -> GateStatus:
        """How the session stands."""
        return _status(await self._ask("status"))

    async def seed(self, tar: AsyncIterable[bytes]) -> Mapping[str, Any]:
        """Unpack the first content into the empty workspace; tells how many `files` and `bytes` arrived."""
        return _json(await self._ask("seed", tar))

    async def mark_seeded(self) -> None:
        """Remember on the volume that the workspace is complete."""
        await self._ask("seeded")

    async def send_history(self, bundle: AsyncIterable[bytes] | bytes) -> None:
        """Leave a git bundle for the agent to unpack at its start; the gate never runs git."""
        await self._ask("history", bundle)

    async def announce_image(self, reference: str) -> None:
        """Tell that the agent's image can be pulled."""
        await self._ask(f"image-ready {reference}")

    async def release(self) -> GateStatus:
        """Let the agent run once the fence is clean and the workspace seeded; returns then.

        Raises EgressOpen when the fence finds a way out.
        """
        result = await self._connection.run("release")
        if result.exit_status == REFUSED:
            leaks = ", ".join(_status(result).fence.leaks)
            raise EgressOpen(
                "the pod can reach what it must not: the agent was not started",
                why=f"reachable: {leaks}" if leaks else _words(result),
                hint="does the cluster's network plug-in enforce NetworkPolicy, and does another policy open this pod?",
            )
        return _status(_checked("release", result))

    async def renew_credentials(self, login: bytes) -> None:
        """Give the gate another login to make tokens of. Raises PaudeError when it gets none with it."""
        await self._ask("credentials", login)

    async def await_agent(self) -> None:
        """Return when the agent's sshd answers."""
        await self._ask("await-agent")

    async def park(self, reason: str) -> None:
        """Take the agent's leave away."""
        await self._ask(f"park {reason}")

    async def take_over(self, machine: str) -> None:
        """Make this laptop (as `Machine` writes itself) the owner of the sync; another one's ends at once."""
        await self._ask(f"take-over {machine}")

    async def await_proxy(self, address: str, allowlist: str) -> None:
        """Return when the proxy at `address` lets this pod in and says that it serves the list of that digest."""
        await self._ask(f"await-proxy {address} {allowlist}")

    async def await_shut(self, address: str) -> None:
        """Return when the proxy at `address` cannot be reached from this pod any more."""
        await self._ask(f"await-shut {address}")

    async def verify(self, host: str = "") -> tuple[Probe, ...]:
        """Make every probe of the fence now; `host` is a name on the list, for what is tried through the proxy."""
        result = await self._connection.run(f"verify {host}".strip())
        if result.exit_status != REFUSED:
            _checked("verify", result)
        try:
            found = json.loads(result.stdout)
            return tuple(Probe(clean(p["name"]), clean(p["address"]), clean(p["result"])) for p in found)
        except (ValueError, TypeError, KeyError) as exc:
            raise PaudeError("the gate's answer is not understood", why=repr(result.stdout[:200])) from exc

    async def _ask(self, command: str, stdin: AsyncIterable[bytes] | bytes | None = None) -> Result:
        return _checked(command, await self._connection.run(command, stdin=stdin))


def _checked(command: str, result: Result) -> Result:
    if result.exit_status == 0:
        return result
    word = command.split(" ", 1)[0]
    if result.exit_status == REFUSED:
        raise PaudeError(f"the gate refuses `{word}`", why=_words(result))
    raise PaudeError(f"the gate cannot do `{word}`", why=_words(result))


def _words(result: Result) -> str:
    return clean(result.stderr.decode("utf-8", "replace")).strip()


def _json(result: Result) -> Mapping[str, Any]:
    try:
        answer = json.loads(result.stdout)
    except ValueError as exc:
        raise PaudeError("the gate's answer is not understood", why=repr(result.stdout[:200])) from exc
    if not isinstance(answer, dict):
        raise PaudeError("the gate's answer is not understood", why=repr(result.stdout[:200]))
    return answer


def _status(result: Result) -> GateStatus:
    answer = _json(result)
    fence = answer.get("fence") or {}
    return GateStatus(
        session=str(answer.get("session", "")),
        uid=str(answer.get("uid", "")),
        seeded=bool(answer.get("seeded")),
        released=bool(answer.get("released")),
        leave=bool(answer.get("leave")),
        image_ready=bool(answer.get("image_ready")),
        parked=str(answer.get("parked") or ""),
        fence=Fence(str(fence.get("state", "unknown")), tuple(fence.get("targets") or ()), str(fence.get("at", ""))),
        volume_free=int((answer.get("volume") or {}).get("free", 0)),
        history=bool(answer.get("history")),
        credentials=_renewal(answer.get("credentials") or {}),
        life=_life(answer.get("life")),
        sync_owner=_owner(answer.get("sync_owner")),
    )


def _owner(answer: object) -> SyncOwner | None:
    if not isinstance(answer, dict) or not answer.get("laptop"):
        return None
    laptop, host, since = (clean(str(answer.get(key) or "")) for key in ("laptop", "host", "since"))
    return SyncOwner(laptop, host, since)


def _renewal(answer: Mapping[str, Any]) -> Renewal | None:
    kind, expires = clean(str(answer.get("kind") or "")), clean(str(answer.get("expires") or ""))
    if not kind:
        return None
    never = expires.startswith("0001-")  # Go's zero time
    return Renewal(kind, "" if never else expires, clean(str(answer.get("failure") or ""))[:400])


def _life(answer: object) -> Life:
    """A gate of an older image says nothing of it."""
    said = answer if isinstance(answer, dict) else {}
    return Life(**{one.name: float(said.get(one.name) or 0) for one in fields(Life)})
