"""The sessions that this user's podman holds, read from their volumes and containers: two calls."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from paude.backends import PODMAN
from paude.backends.base import Listed, Location
from paude.backends.podman import ownership
from paude.backends.podman.containers import name_of
from paude.backends.podman.engine import SERVER, Engine, Object, labels_of
from paude.process import clean
from paude.sessions.states import Seen, SessionState

MINE = "label=app.kubernetes.io/managed-by=paude"


async def sessions(podman: Engine) -> list[Listed]:
    """Every session of this user's podman. Raises what its complaint means."""
    found: dict[str, list[Object]] = {}

    async def fetch(kind: str, *words: str) -> None:
        found[kind] = await podman.objects(*words, "--filter", MINE, doing="list sessions")

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, "volumes", "volume", "ls")
            tasks.start_soon(fetch, "containers", "ps", "--all")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    return [
        _listed(volume, found["containers"])
        for volume in found["volumes"]
        if labels_of(volume).get("app.kubernetes.io/component") == "workspace"
    ]


async def containers_of(podman: Engine, uid: str) -> list[Object]:
    """The containers of one session."""
    mine = f"label={ownership.UID}={uid}"
    return await podman.objects("ps", "--all", "--filter", mine, doing="look for the session's containers")


def _listed(volume: Object, containers: list[Object]) -> Listed:
    labels = labels_of(volume)
    uid = labels.get(ownership.UID, "")
    mine = [one for one in containers if labels_of(one).get(ownership.UID) == uid]
    return Listed(
        name=labels.get("paude.io/session", str(volume.get("Name", ""))),
        uid=uid,
        owner=clean(labels.get("paude.io/owner", "")),
        agent=clean(labels.get("paude.io/agent", "")),
        workspace=clean(labels.get("paude.io/workspace", "")),
        wall=clean(labels.get("paude.io/wall", "")),
        created_at=str(volume.get("CreatedAt", "")),
        backend=PODMAN,
        location=Location(SERVER),
        seen=seen(labels.get("paude.io/session", ""), mine),
    )


def seen(session: str, containers: list[Object], gate: Mapping[str, object] | None = None) -> Seen:
    """The state of a session with these containers; `gate` is what its gate says, if it was asked."""
    states = {str((one.get("Names") or [""])[0]): one for one in containers}
    network, own, agent = (states.get(name_of(session, part)) for part in ("net", "gate", "agent"))
    if own is None and agent is None:
        return Seen(SessionState.STOPPED, "no containers", "`paude start` resumes it")
    if not _runs(own) or not _runs(network):
        return Seen(SessionState.ENDED, "its gate does not run", "`paude start` starts it again")
    if gate is not None and gate.get("parked"):
        return Seen(SessionState.PARKED, clean(str(gate["parked"]))[:400], "`paude start` releases it again")
    if _runs(agent):
        return _at_work(gate)
    if agent is None:
        return Seen(SessionState.STARTING, "the gate is up")
    code = agent.get("ExitCode")
    if code == 0:  # its first process ends so when leave goes
        return Seen(SessionState.PARKED, "`paude status` says why", "`paude start` releases it again")
    return Seen(SessionState.ENDED, f"the agent's container ended with {code}", "`paude start` starts it again")


def _at_work(gate: Mapping[str, object] | None) -> Seen:
    if gate is None or gate.get("leave"):
        return Seen(SessionState.RUNNING)
    if not gate.get("seeded"):
        return Seen(SessionState.SEEDING, "the workspace is on its way")
    return Seen(SessionState.WAITING, "the agent waits for its leave")


def _runs(container: Mapping[str, object] | None) -> bool:
    return container is not None and container.get("State") == "running"
