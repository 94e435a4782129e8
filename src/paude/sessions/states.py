"""What a session is doing, in the user's words, from the pod's status and what the gate says. Pure.

The container's own words (termination messages of the agent) are hostile: they are cut and made printable.
The shapes are those of the Kubernetes API, v1 Pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from paude.process import clean

_LONGEST = 400
_PULL = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_FENCE_OPEN = 3


class SessionState(StrEnum):
    """The states shown to users, in the order in which a session goes through them."""

    STOPPED = "stopped"
    PENDING = "pending"
    STARTING = "starting"
    FENCING = "fencing"
    SEEDING = "seeding"
    WAITING = "waiting"
    RUNNING = "running"
    PARKED = "parked"
    OPEN = "open"
    ENDED = "ended"
    STOPPING = "stopping"
    EVICTED = "evicted"
    FAILED = "failed"


@dataclass(frozen=True)
class Seen:
    """A state, why it is so, and what to do."""

    state: SessionState
    reason: str = ""
    hint: str = ""


def derive(pod: object, gate: object = None) -> Seen:
    """The state of the session whose pod has this JSON (None: no pod); `gate` is its `status` answer, if there is one.

    Takes anything: parts that are missing or of the wrong kind are passed over.
    """
    if not isinstance(pod, Mapping):
        return Seen(SessionState.STOPPED, "no pod", "`paude start` resumes it when its volume was kept")
    status = _mapping(pod.get("status"))
    return (
        _ending(_mapping(pod.get("metadata")), status)
        or _unscheduled(status)
        or _parked(status, _mapping(gate))
        or _stuck(status)
        or _fenced(status)
        or _at_work(status, _mapping(gate))
    )


def _ending(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> Seen | None:
    reason = _text(status.get("reason"))
    if reason in ("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "DeadlineExceeded"):
        why = f"{reason}: {_text(status.get('message'))}".removesuffix(": ")
        return Seen(SessionState.EVICTED, why, "the cluster starts it again on the same volume")
    if metadata.get("deletionTimestamp"):
        return Seen(SessionState.STOPPING, "the pod is being deleted")
    if status.get("phase") in ("Failed", "Succeeded"):
        why = f"{reason}: {_text(status.get('message'))}".strip(": ")
        return Seen(SessionState.FAILED, why or "the pod ended", "see `paude logs`")
    return None


def _unscheduled(status: Mapping[str, Any]) -> Seen | None:
    if status.get("phase") not in (None, "Pending"):
        return None
    for condition in _mappings(status.get("conditions")):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            why = _text(condition.get("message")) or _text(condition.get("reason"))
            return Seen(SessionState.PENDING, f"no node takes the pod: {why}", _scheduling_hint(why))
    return None


def _scheduling_hint(why: str) -> str:
    if "persistentvolumeclaim" in why.lower() or "volume" in why.lower():
        return "check the storage class (`--storage-class`) and `kubectl describe pvc`"
    if "Insufficient" in why:
        return "ask for less with --cpu-request 250m --memory-request 1Gi, or free some"
    if "taint" in why or "selector" in why or "affinity" in why:
        return "the nodes want tolerations or labels that the session does not have"
    return "see `kubectl describe pod`"


def timed_out(seen: Seen) -> bool:
    """Whether the gate parked the session because its time was up, and nobody by hand."""
    return seen.state is SessionState.PARKED and seen.reason.startswith(_TIME_IS_UP)


# As the gate words them, in containers/pod/internal/life/judge.go; the agent's first process says them last.
_TIME_IS_UP = ("idle for ", "at its age limit of ")
_LAST_WORDS = "parked: "


def _parked(status: Mapping[str, Any], gate: Mapping[str, Any]) -> Seen | None:
    """The gate's own word, else the last words of the agent's container: without the laptop nobody asks the gate."""
    if gate:
        reason = _text(gate.get("parked"))
    else:
        agent = _named(status, "agent")
        ends = (_mapping(_mapping(agent.get(when)).get("terminated")) for when in ("state", "lastState"))
        said = next((_text(end.get("message")) for end in ends if end.get("message")), "")
        parked = said.startswith(_LAST_WORDS) and agent.get("started") is not True
        reason = said.removeprefix(_LAST_WORDS) if parked else ""
    return Seen(SessionState.PARKED, reason, "`paude start` releases it again") if reason else None


def _stuck(status: Mapping[str, Any]) -> Seen | None:
    for container in _containers(status):
        name = _text(container.get("name"))
        waiting = _mapping(_mapping(container.get("state")).get("waiting"))
        reason, message = _text(waiting.get("reason")), _text(waiting.get("message"))
        if reason in _PULL:
            return Seen(SessionState.FAILED, f"the image of {name} cannot be pulled: {message or reason}", _PULL_HINT)
        if reason in _CONFIG:
            why = f"the container {name} cannot be made: {message or reason}"
            return Seen(SessionState.FAILED, why, "`paude stop` and `paude start` make it anew")
        if reason == "CrashLoopBackOff" and name == "agent" and _last_code(container) == 0:
            why = "the agent was sent away, and the cluster holds its next start back"
            return Seen(SessionState.WAITING, why, "`paude status` asks its gate for the reason")
        if reason == "CrashLoopBackOff" and name != "fence":
            return Seen(SessionState.FAILED, f"{name} keeps ending: {_last_end(container)}", f"`paude logs` ({name})")
    return None


_PULL_HINT = "check that the nodes reach the registry and may pull from it (`--pull-secret`)"


def _fenced(status: Mapping[str, Any]) -> Seen | None:
    fence = _named(status, "fence")
    ended = _mapping(_mapping(fence.get("state")).get("terminated"))
    last = _mapping(_mapping(fence.get("lastState")).get("terminated"))
    ran_badly = ended if ended.get("exitCode") not in (None, 0) else last
    if ran_badly.get("exitCode") not in (None, 0) and ended.get("exitCode") != 0:
        return _verdict(ran_badly)
    if _mapping(_mapping(fence.get("state")).get("running")):
        return Seen(SessionState.FENCING, "proving that nothing leaves the pod but calls to the proxy")
    return None


def _verdict(ended: Mapping[str, Any]) -> Seen:
    message = ended.get("message")
    leaks = list(_leaks(message))
    if leaks or ended.get("exitCode") == _FENCE_OPEN:
        why = f"the fence found a way out: {', '.join(leaks) or _text(message) or 'it did not say which'}"
        hint = "the cluster's network plug-in must enforce NetworkPolicy; see docs/SECURITY.md"
        return Seen(SessionState.OPEN, why[:_LONGEST], hint)
    return Seen(SessionState.FENCING, f"the fence could not finish: {_text(message) or 'no reason given'}")


def _leaks(message: object) -> Iterator[str]:
    try:
        verdict = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        return
    found = _mapping(verdict)
    for target in _mappings(found.get("targets") or _mapping(found.get("fence")).get("targets")):
        if target.get("result") == "open":
            yield f"{_text(target.get('name'))} ({_text(target.get('address'))})"


def _at_work(status: Mapping[str, Any], gate: Mapping[str, Any]) -> Seen:
    if _mapping(gate.get("fence")).get("state") == "open":
        return Seen(SessionState.OPEN, "the fence found a way out", "see `paude status`")
    agent = _named(status, "agent")
    running = bool(_mapping(_mapping(agent.get("state")).get("running")))
    if running and (agent.get("started") is True or gate.get("leave") is True):
        return Seen(SessionState.RUNNING)
    if gate.get("seeded") is False:
        return Seen(SessionState.SEEDING, "the workspace is on its way into the pod")
    if running:
        return Seen(SessionState.WAITING, "the agent waits for its leave")
    return _not_running(status, agent)


def _not_running(status: Mapping[str, Any], agent: Mapping[str, Any]) -> Seen:
    ended = _mapping(_mapping(agent.get("state")).get("terminated"))
    if ended:
        return Seen(SessionState.ENDED, f"the agent's container ended: {_end(ended)}", "the cluster starts it again")
    if _mapping(_mapping(_named(status, "gate").get("state")).get("running")):
        return Seen(SessionState.STARTING, "the gate is up")
    return Seen(SessionState.STARTING, "the pod is being set up")


def _last_code(container: Mapping[str, Any]) -> object:
    return _mapping(_mapping(container.get("lastState")).get("terminated")).get("exitCode")


def _last_end(container: Mapping[str, Any]) -> str:
    return _end(_mapping(_mapping(container.get("lastState")).get("terminated")))


def _end(ended: Mapping[str, Any]) -> str:
    reason, message, code = _text(ended.get("reason")), _text(ended.get("message")), ended.get("exitCode")
    if reason == "OOMKilled":
        return "out of memory; give it more"
    words = [reason, f"exit code {code}" if isinstance(code, int) else "", message]
    return ", ".join(word for word in words if word) or "no reason given"


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _mappings(status.get("initContainerStatuses"))
    yield from _mappings(status.get("containerStatuses"))


def _named(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((c for c in _containers(status) if c.get("name") == name), {})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    """A string of the API, printable and of bounded length; empty for anything else."""
    return " ".join(clean(value[: 4 * _LONGEST]).split())[:_LONGEST] if isinstance(value, str) else ""
