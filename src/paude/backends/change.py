"""Another list for a session that runs: what of it is the same in every kind of place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from paude.backends.base import Wall
from paude.egress import squid
from paude.egress.allowlist import Allowlist
from paude.sessions.records import Record
from paude.settings import Paths

W = TypeVar("W", bound=Wall)


@dataclass(frozen=True)
class Change:
    """Which session gets which hosts more, and which less. Each place adds its steps."""

    record: Record
    paths: Paths
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def checked(self, found: W) -> W:
        """The wall, as one that can be changed so. Raises UsageError for a host to deny that is not on the list."""
        found.allowlist.check_listed(self.remove)
        return found

    def wanted(self, now: Wall) -> Allowlist:
        """The list that the session gets."""
        return now.allowlist.with_(self.add).without(self.remove)

    def digest(self, now: Wall) -> str:
        """What the proxy of that list is named by."""
        return squid.identity(self.wanted(now), squid.Options.of(now.company))

    def idle(self, now: Wall) -> bool:
        """Whether nothing has to change in what runs."""
        return now.stopped or now.serves == self.digest(now)
