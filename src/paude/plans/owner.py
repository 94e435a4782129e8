"""Which laptop keeps a session's workspace in step: one at a time, and the gate knows it."""

from __future__ import annotations

from paude.errors import NameTaken
from paude.gate.client import GateStatus
from paude.sessions.machine import this_machine
from paude.settings import Paths


def elsewhere(status: GateStatus, paths: Paths) -> str:
    """Which other laptop has the sync, as one sentence; empty when none has."""
    owner = status.sync_owner
    if owner is None or owner.laptop == this_machine(paths).id:
        return ""
    return f"the sync was taken over by {owner.host} at {owner.since}"


def refuse_elsewhere(status: GateStatus, name: str, paths: Paths) -> None:
    """Raise NameTaken when another laptop has the sync of the session."""
    if why := elsewhere(status, paths):
        raise kept_elsewhere(name, why=why)


def kept_elsewhere(name: str, *, why: str = "", hint: str = "") -> NameTaken:
    """The error of what only the laptop that keeps the session in step may do."""
    take = f"`paude attach {name} --take-over` in your copy of its directory makes it this one"
    return NameTaken(f"{name} is kept in step with another laptop", why=why, hint=hint or take)
