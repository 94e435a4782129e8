"""The way to OpenShift's own registry where it has no public name: a pod in the user's namespace that joins streams.

The pod runs OpenShift's `cli` image, which every release brings and everybody who is logged in may pull, and does
nothing; for each connection a bash in it joins its standard streams to the registry's inner name. TLS and login go
from end to end, so the pod sees neither token nor image. It is made when somebody first goes this way, which a start
whose images are all known never does, and goes with the start. What a killed one left is known by its session's lock.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from secrets import token_hex

import anyio
from anyio.abc import ByteStream

from paude import report
from paude.backends.kubernetes import manifests, reasons
from paude.backends.kubernetes.cluster import Cluster, Object
from paude.backends.kubernetes.durable import UNDO_S
from paude.backends.kubernetes.status import Conflict
from paude.backends.kubernetes.tunnels import exec_in
from paude.egress import policies
from paude.errors import ConnectionLost, ImageError, LoginExpired, PaudeError, SessionGone, SettingsError, UsageError
from paude.images.reference import Way
from paude.images.registry import WITHOUT_ROUTE
from paude.sessions import records
from paude.sessions.machine import this_machine
from paude.settings import Paths

IMAGE = "openshift/cli:latest"
UP_S = 120.0
LONGEST_S = 6 * 3600
_SELECTOR = f"{policies.ROLE}=relay"
# Both directions end when one does. A program in the background has no standard input of its own, hence the 4.
_JOIN = """
exec 4<&0 3<>"/dev/tcp/$1/$2" || exit 1
cat <&4 >&3 & cat <&3 &
wait -n; kill $(jobs -p) 2> /dev/null; exit 0
"""


_SERVICE = re.compile(r"[a-z0-9-]+\.(?P<namespace>[a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?:[0-9]+")


@asynccontextmanager
async def relayed(cluster: Cluster, registry: str, paths: Paths, session: str) -> AsyncIterator[Way]:
    """A way to `registry` (`host:port`, a service of the cluster) for whoever has the lock of `session`.

    Its pod goes at the end of the block.

    Raises SettingsError where `registry` is the name of no service.
    """
    service = _SERVICE.fullmatch(registry)
    if service is None:
        raise SettingsError("the cluster's registry has no public name", hint=WITHOUT_ROUTE)
    relay = _Relay(cluster, registry, service["namespace"], paths, session)
    try:
        yield relay.dial
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S) as limit:
            await relay.remove()
        if limit.cancelled_caught:
            relay.tell_left("the cluster does not answer")


class _Relay:
    """At most one pod, however many connections; another one where the first has gone."""

    def __init__(self, cluster: Cluster, registry: str, of_the_registry: str, paths: Paths, session: str) -> None:
        self._cluster = cluster
        self._paths = paths
        self._session = session
        self._of_the_registry = of_the_registry
        self._host, _, port = registry.rpartition(":")
        self._port = int(port)
        self._registry = registry
        self._name = ""
        self._up = False
        self._coming = anyio.Lock()

    async def dial(self) -> ByteStream:
        """A new stream to the registry.

        Raises ConnectionLost where trying again may help, LoginExpired, and ImageError where there is no relay.
        """
        try:
            async with self._coming:
                if not self._up:
                    await self._bring_up()
            return await exec_in(self._cluster, self._name, self._join).dial(self._port)
        except SessionGone as exc:
            self._up = False
            raise ConnectionLost("the relay to the registry is gone", why=exc.why) from exc
        except (ConnectionLost, LoginExpired):
            raise
        except PaudeError as exc:
            raise ImageError(
                f"the registry {self._registry} has no public name, and the relay to it does not come up",
                why=str(exc),
                hint=WITHOUT_ROUTE,
            ) from exc

    def _join(self, port: int) -> tuple[str, ...]:
        return ("bash", "-c", _JOIN, "relay", self._host, str(port))

    async def _bring_up(self) -> None:
        await self.remove()
        laptop = this_machine(self._paths).id
        await self._sweep(laptop)
        report.line(f"{self._registry} has no public name: a relay in {self._cluster.namespace} leads there")
        self._name = f"paude-relay-{token_hex(4)}"
        labels = {policies.ROLE: "relay", policies.RELAY: self._name}
        labels |= {policies.LAPTOP: laptop, policies.STARTS: self._session}
        pod = manifests.relay_pod(self._name, f"{self._registry}/{IMAGE}", labels, LONGEST_S)
        made = await self._cluster.create(pod)
        await self._cluster.create(self._policy(made))
        await _running(self._cluster, self._name)
        self._up = True

    def _policy(self, pod: Object) -> Object:
        """Where the namespace denies all that is not allowed: the relay's own way, which goes with its pod."""
        labels = manifests.common_labels("policy")
        policy = policies.relay(self._name, self._cluster.namespace, labels, self._port, self._of_the_registry)
        owner = {"apiVersion": "v1", "kind": "Pod", "name": self._name, "uid": pod["metadata"]["uid"]}
        policy["metadata"]["ownerReferences"] = [owner]
        return policy

    async def _sweep(self, laptop: str) -> None:
        """Remove relays that have ended, and those that killed starts of this laptop left."""
        for pod in await self._cluster.list("Pod", _SELECTOR):
            ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
            own = _label(pod, policies.LAPTOP) == laptop
            if ended or (own and (_label(pod, policies.STARTS) == self._session or not _at_work(pod, self._paths))):
                await take_away(self._cluster, pod)

    async def remove(self) -> None:
        """Take the pod away, if there may be one: also one whose making was cut short."""
        if not self._name:
            return
        try:
            for kind in ("Pod", "NetworkPolicy"):
                await self._cluster.delete(kind, self._name, grace_s=0 if kind == "Pod" else None)
            self._name, self._up = "", False
        except PaudeError as exc:
            self.tell_left(str(exc))

    def tell_left(self, why: str) -> None:
        """Tell that the pod may still be there, and how it goes."""
        command = f"kubectl -n {self._cluster.namespace} delete pod {self._name}"
        report.line(f"warning: {why}; `{command}` removes the relay to the registry, which ends by itself in hours")


async def _running(cluster: Cluster, name: str) -> None:
    looks = reasons.Looks()
    with anyio.move_on_after(UP_S):
        async with aclosing(cluster.watch("Pod", name=name)) as changes:
            async for change in changes:
                if change.type == "LISTED":
                    continue
                if change.type == "DELETED":
                    raise ImageError("its pod was deleted")
                if reasons.running(change.object, "relay"):
                    return
                if failure := looks.failure(change.object):
                    raise failure
    raise ImageError(f"its pod {name} is not there after {UP_S:.0f} s", hint=WITHOUT_ROUTE)


async def left(cluster: Cluster, paths: Paths) -> list[Object]:
    """The pods of relays that killed starts of this laptop left. Raises Forbidden, LoginExpired or ConnectionLost."""
    own = f"{_SELECTOR},{policies.LAPTOP}={this_machine(paths).id}"
    return [pod for pod in await cluster.list("Pod", own) if not _at_work(pod, paths)]


async def take_away(cluster: Cluster, pod: Object) -> None:
    """Take a relay's pod away; its policy goes with it."""
    with suppress(Conflict):  # another one by now
        await cluster.delete("Pod", str(pod["metadata"]["name"]), uid=str(pod["metadata"]["uid"]), grace_s=0)


def _at_work(pod: Object, paths: Paths) -> bool:
    try:
        return records.at_work(paths, _label(pod, policies.STARTS))
    except UsageError:  # what cannot be a name is nobody's
        return False


def _label(pod: Object, label: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(label, ""))
