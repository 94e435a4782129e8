"""A session whose calls are judged where they arrive: at the origins of the fake internet."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from laptop import Admin, Laptop
from peers.waiting import eventually
from world.client import World

CA = "/tmp/world.crt"
QUIET = "> /dev/null 2>&1"


@dataclass(frozen=True)
class Walled:
    """A session, and the marks by which its calls are known at the sink."""

    laptop: Laptop
    world: World
    name: str
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def inside(self, command: str, code: int | None = 0) -> str:
        return self.laptop.inside(self.name, command, code)

    def prepare(self) -> Walled:
        """Give it the fake internet's authority."""
        self.laptop.paude("cp", str(self.world.ca_path), f"{self.name}:{CA}")
        return self

    def arrives(self, host: str) -> bool:
        """Whether a call of the agent reaches the origin of that name; the client's own opinion does not count."""
        path = f"/{self.mark}/{uuid.uuid4().hex}"
        self.inside(f"curl -sS -m 10 --cacert {CA} https://{host}{path} {QUIET}; true")
        return any(one["path"] == path for one in self.world.seen().asked(host))

    def keeps_calling(self, host: str, how: str) -> None:
        """Calls several times a second, through one tunnel for as long as that holds, until the container ends."""
        url = f"https://{host}/{self.mark}/{how}/[1-100000]"
        loop = f"while sleep 0.1; do curl -sS -m 600 --rate 300/m --cacert {CA} {url} {QUIET}; done"
        self.inside(f"setsid bash -c '{loop}' {QUIET} < /dev/null &")
        eventually(lambda: self.calls(how) > 2, what=f"calls to {host}")

    def calls(self, how: str) -> int:
        """How many of those have arrived."""
        return sum(f"/{self.mark}/{how}/" in one["path"] for one in self.world.seen().requests)

    def blocked(self) -> dict[str, dict[str, Any]]:
        """What `paude blocked` tells, by host."""
        found = json.loads(self.laptop.paude("blocked", self.name, "-o", "json").stdout)
        return {one["host"]: one for one in found["refused"]}


def wall_of(admin: Admin, name: str) -> dict[str, Any]:
    """Everything that makes a session's wall, as the cluster has it, without what only says when it was looked at."""
    found: dict[str, Any] = {}
    for kind, what in (
        ("service", f"paude-{name}-proxy"),
        ("networkpolicy", f"paude-{name}"),
        ("pod", f"paude-{name}-0"),
    ):
        obj = json.loads(admin("get", kind, what, "-o", "json"))
        found[kind] = {"spec": obj["spec"], "labels": obj["metadata"]["labels"]}
    found["pod"] = {"labels": found["pod"]["labels"]}
    return found
