"""Why a pod does not run: the cluster's own words, told at once instead of a time-out. Pure.

What can still turn out well (a pod waiting for a node, a claim waiting for its volume) is a line for the user;
what cannot is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from paude.backends.kubernetes import status
from paude.backends.kubernetes.fitting import SMALL
from paude.errors import EgressOpen, ImageError, PaudeError, PodFailed
from paude.process import clean

Object = Mapping[str, Any]

_REFUSED_LOGINS = ("unauthorized", "authentication required", "no basic auth credentials", "forbidden", "denied")
_FATAL_PULLS = ("not found", "manifest unknown", *_REFUSED_LOGINS)
# What the kernel says to a program of another processor (execve(2), ENOEXEC).
_FOREIGN = "exec format error"
_SHORT = re.compile(r"Insufficient (?:cpu|memory)")
_NEWS = {"FailedScheduling", "ProvisioningFailed", "FailedMount", "FailedAttachVolume", "BackOff", "Evicted"}


def _containers(pod: Object) -> Iterable[Object]:
    state = pod.get("status") or {}
    yield from state.get("initContainerStatuses") or ()
    yield from state.get("containerStatuses") or ()


def container(pod: Object, name: str) -> Object | None:
    """The status of one container of the pod."""
    return next((c for c in _containers(pod) if c["name"] == name), None)


def running(pod: Object, name: str) -> bool:
    """Whether the container runs now."""
    found = container(pod, name)
    return found is not None and "running" in (found.get("state") or {})


def pod_failure(pod: Object, before: Object | None = None) -> PaudeError | None:
    """The error that the pod's status tells, or None while it may still come up.

    With `before`, the pod as it was seen last (empty at first), one refused login at the registry is waited over: a
    kubelet asks without the pull secret when its cache has not got that yet, and asks again after its back-off.
    """
    state = pod.get("status") or {}
    if state.get("phase") == "Failed":
        words = f"{state.get('reason', '')} {state.get('message', '')}"
        return PodFailed("the pod has failed", why=clean(words.strip()))
    for each in _containers(pod):
        earlier = None if before is None else container(before, each["name"]) or {}
        if found := _container_failure(each, earlier):
            return found
    return None


class Looks:
    """Pods as they are seen one look after the other."""

    def __init__(self) -> None:
        self._last: dict[str, Object] = {}

    def failure(self, pod: Object) -> PaudeError | None:
        """What `pod_failure` makes of this look and the one before."""
        uid = str(pod["metadata"].get("uid", ""))
        before, self._last[uid] = self._last.get(uid, {}), pod
        return pod_failure(pod, before)


def _waits(each: Object) -> tuple[str, str]:
    """What a container waits for: the kubelet's word, and what it says to it."""
    waiting = (each.get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason", "")), clean(str(waiting.get("message", "")))


def _container_failure(each: Object, earlier: Object | None) -> PaudeError | None:
    reason, message = _waits(each)
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
        fatal = reason != "ErrImagePull" or _says(message, _FATAL_PULLS)
        waited_over = earlier is not None and _first_refusal(reason, message, *_waits(earlier))
        return _pull_failure(each, message) if fatal and not waited_over else None
    if _FOREIGN in message:
        return _foreign(each)
    if reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        return PodFailed(f"the container {each['name']} cannot be started", why=f"{reason}: {message}")
    if each["name"] in {"gate", "fence"}:
        return _own_failure(each)
    return None


def _says(message: str, words: Iterable[str]) -> bool:
    return any(word in message.lower() for word in words)


def _first_refusal(reason: str, message: str, earlier: str, said: str) -> bool:
    """Whether a refused login is the first: the kubelet backs off once between two tries."""
    if reason == "ErrImagePull":
        return _says(message, _REFUSED_LOGINS) and earlier != "ImagePullBackOff"
    backed_off = earlier == "ErrImagePull" and _says(said, _REFUSED_LOGINS)
    return reason == "ImagePullBackOff" and (backed_off or earlier == "ImagePullBackOff")


def _pull_failure(each: Object, message: str) -> PaudeError:
    hint = "check that the nodes reach the registry, and the pull secret (--pull-secret)"
    if _says(message, ("not found", "manifest unknown")):
        hint = "was it deleted since it was pushed? Then the next `paude start` pushes it again; else " + hint
    return ImageError(f"the cluster cannot pull {each.get('image')}", why=message, hint=hint)


def _own_failure(each: Object) -> PaudeError | None:
    """The gate and the fence say in their termination message why they ended."""
    states = (each.get("state") or {}, each.get("lastState") or {})
    ended = next((s["terminated"] for s in states if "terminated" in s), None)
    if ended is None or ended.get("exitCode") == 0:
        return None
    message = clean(str(ended.get("message", "")))
    if _FOREIGN in message:
        return _foreign(each)
    if each["name"] == "fence" and ended.get("exitCode") == 3:
        return open_egress(message)
    if each["name"] == "fence" and "waiting" not in states[0]:
        return None  # the kubelet starts it again; a drained node ends it so
    return PodFailed(f"the {each['name']} has ended with {ended.get('exitCode')}", why=message or "it left no message")


def _foreign(each: Object) -> PaudeError:
    return ImageError(
        "the cluster's node is of another platform than the images",
        why=f"it cannot run {each.get('image')}: {_FOREIGN}",
        hint="say which it is: `PAUDE_PLATFORM=linux/arm64`, or `linux/amd64`",
    )


def open_egress(verdict: str) -> EgressOpen:
    """The error for a fence that found a way out; `verdict` is its JSON."""
    try:
        targets = json.loads(verdict).get("targets") or []
        leaks = [clean(f"{t['name']} ({t['address']})") for t in targets if t.get("result") == "open"]
    except (ValueError, AttributeError, KeyError, TypeError):
        leaks = []
    return EgressOpen(
        "the pod can reach what it must not: the agent was not started",
        why="reachable: " + ", ".join(leaks) if leaks else clean(verdict),
        hint="does the cluster's network plug-in enforce NetworkPolicy, and does another policy open this pod?",
    )


def deployment_failure(deployment: Object) -> PaudeError | None:
    """Why the pods of a Deployment are not even made (quota, admission), or None."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        message = clean(str(condition.get("message", "")))
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True" and "forbidden" in message:
            return status.forbidden(message, "create the pod of the proxy")
    return None


def concerns(event: Object, names: Collection[str], stateful_set: Object | None) -> bool:
    """Whether an event is about one of these objects, and not about an earlier StatefulSet of the same name."""
    about = event.get("involvedObject") or {}
    if about.get("name") not in names:
        return False
    if about.get("kind") != "StatefulSet" or stateful_set is None:
        return True
    return bool(about.get("uid") == stateful_set["metadata"]["uid"])


def event_failure(event: Object) -> PaudeError | None:
    """The error that an event tells, or None when it is news only."""
    message = clean(str(event.get("message", "")))
    reason = event.get("reason")
    if reason == "FailedCreate" and "forbidden" in message:
        return status.forbidden(message.split("error: ", 1)[-1], "create the pod")
    if reason == "FailedBinding" and "no storage class is set" in message:
        return PodFailed(
            "the namespace has no storage for the workspace",
            why=message,
            hint="name a StorageClass with --storage-class",
        )
    if reason == "ProvisioningFailed" and "not found" in message:
        return PodFailed("the storage class does not exist", why=message, hint="see `kubectl get storageclass`")
    return None


def event_news(event: Object) -> str | None:
    """What to tell the user of an event while waiting."""
    if event.get("type") != "Warning" or event.get("reason") not in _NEWS | {"FailedCreate"}:
        return None
    news = f"{event['reason']}: {clean(str(event.get('message', '')))[:300]}"
    # An ordinary user cannot see what nodes have, and one may still be added: so it is told, and waited for.
    return f"{news} No node has as much free: `paude start {SMALL}` asks for less" if _SHORT.search(news) else news
