"""The way into a pod: paude's own port-forward, or kubectl's where the network lets no WebSocket through."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from anyio.abc import ByteStream

from paude.backends.kubernetes.kubeconfig import Target
from paude.errors import ConnectionLost, Forbidden, LoginExpired, SessionGone
from paude.ssh.ssh_config import GATE_PORT, SERVER
from paude.tunnel.base import Dialer
from paude.tunnel.command import PortForwardCommand
from paude.tunnel.execstream import ExecStreams
from paude.tunnel.pinned import PinnedDialer
from paude.tunnel.portforward import ApiAccess, PodExec, PodPortForward

WEBSOCKET = "websocket"
_ASK_S = 10.0
_STARTING = re.compile(r"pod is not running|container not found|ContainerCreating|is waiting to start", re.IGNORECASE)


class Way(Protocol):
    """Where to, as whom, and by which kind of tunnel: a login, or a connection made with one."""

    target: Target
    tunnel: str

    async def access(self, renew: bool = False) -> ApiAccess:
        """What a tunnel needs; `renew` brings fresh credentials."""
        ...


def tunnel_to(way: Way, pod: str) -> Dialer:
    """A Dialer for the pod, of the kind that the user's settings name."""
    if way.tunnel != WEBSOCKET:
        return ByProgram(way.tunnel, way.target, pod)
    return PodPortForward(way.access, way.target.namespace, pod)


def exec_in(way: Way, pod: str, command: Callable[[int], Sequence[str]]) -> Dialer:
    """A Dialer whose streams are those of a program in the pod, whose words `command` gives for a port."""
    if way.tunnel == WEBSOCKET:
        return PodExec(way.access, way.target.namespace, pod, command)
    program = ByProgram(way.tunnel, way.target, pod)
    return ExecStreams(lambda port: program.run(command(port)), program.environment, program.failure)


def pinned_to(way: Way, pod: str) -> Dialer:
    """The same, for as long as the name is that of the same pod."""
    return PinnedDialer(tunnel_to(way, pod), partial(_uid, way, pod))


async def _uid(way: Way, pod: str) -> str:
    """The pod's uid, over a connection of its own: one that was kept may have died with the link."""
    import httpx  # not for those who only open tunnels

    access = await way.access()
    url = f"{access.server.rstrip('/')}/api/v1/namespaces/{way.target.namespace}/pods/{pod}"
    headers = {**access.headers, "Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    try:
        async with httpx.AsyncClient(verify=access.ssl or True, proxy=access.proxy, timeout=_ASK_S) as once:
            answer = await once.get(url, headers=headers)
        return str(answer.json()["metadata"]["uid"]) if answer.status_code == 200 else ""
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""


@dataclass(frozen=True)
class ByProgram:
    """A Dialer by `kubectl` or `oc`, which read the user's own kubeconfig files.

    They forward to running pods only. The gate is needed before that, while the fence proves the wall, so its sshd
    is run by `exec` instead.
    """

    program: str
    target: Target
    pod: str

    async def dial(self, port: int) -> ByteStream:
        """A new stream to `port`."""
        if port == GATE_PORT:
            return await ExecStreams(lambda _: self.run(SERVER, "gate"), self.environment, self.failure).dial(port)
        return await PortForwardCommand(self._forward, self.environment, self.failure).dial(port)

    def run(self, command: Sequence[str], container: str = "") -> tuple[str, ...]:
        """The words that run a command in the pod, in its first container if none is named."""
        chosen = (f"--container={container}",) if container else ()
        return (*self._words("exec"), "--stdin", *chosen, self.pod, "--", *command)

    def _forward(self, port: int) -> tuple[str, ...]:
        return (*self._words("port-forward"), "--address=127.0.0.1", f"pod/{self.pod}", f":{port}")

    def _words(self, verb: str) -> tuple[str, ...]:
        target = self.target
        pinned = (f"--cluster={target.cluster}", f"--user={target.user}", f"--namespace={target.namespace}")
        return (self.program, *pinned, verb)

    def environment(self) -> dict[str, str]:
        """The environment of the program: the user's, with the kubeconfig files that the target is from."""
        return {**os.environ, "KUBECONFIG": os.pathsep.join(str(file) for file in self.target.files)}

    def failure(self, code: int, said: str) -> Exception:
        """What it means that the program ended with `code`."""
        return failure(self.program, self.pod, said)


def failure(program: str, pod: str, said: str) -> Exception:
    """What the program's last words mean."""
    if "NotFound" in said and f'"{pod}"' in said:
        return SessionGone(f"the pod {pod} is gone", why=said)
    if "Forbidden" in said:
        return Forbidden("you may not open a tunnel", why=said)
    if "Unauthorized" in said or "You must be logged in" in said:
        return LoginExpired(
            "the cluster does not accept your login (any more)",
            why=said,
            hint="log in again, for example with `oc login`, and repeat the command",
        )
    if _STARTING.search(said):
        why = f"{program} reaches running pods only, and this one is still starting"
        return ConnectionLost("no tunnel to the pod yet", why=why)
    return ConnectionLost(f"no tunnel by {program}", why=said)
