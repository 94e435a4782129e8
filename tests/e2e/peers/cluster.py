"""What the tests do to the cluster behind the user's back, and the ways to it that fail on command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from laptop import Admin
from peers.waiting import eventually
from relay import Relay, relay

CHECKOUT = Path(__file__).parents[3]
API = ("127.0.0.1", 6443)
TMUX = "tmux -S /run/paude/tmux.sock"


class Way:
    """The laptop's way to the API server: a relay that runs in a thread of its own."""

    def __init__(self, portal: BlockingPortal, carrier: Relay) -> None:
        self._portal = portal
        self._relay = carrier

    @property
    def port(self) -> int:
        return self._relay.port

    def cut(self) -> None:
        """Break every connection, and let no new one through."""
        self._portal.call(self._relay.cut)

    def mend(self) -> None:
        """Let new ones through again."""
        self._portal.call(self._relay.mend)


@contextmanager
def way() -> Iterator[Way]:
    """An open one."""
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(relay(API)) as carrier:
        yield Way(portal, carrier)


def kubeconfig_through(way: Way | Relay, kubeconfig: str, target: Path) -> Path:
    """The kubeconfig with the relay's address instead of the API server's."""
    text = Path(kubeconfig).read_text()
    assert f":{API[1]}" in text
    target.write_text(text.replace(f":{API[1]}", f":{way.port}"))
    return target


def pod(admin: Admin, name: str, namespace: str = "proj-a") -> dict[str, Any]:
    """The session's pod as the API server has it; empty when there is none."""
    text = admin("get", "pod", f"paude-{name}-0", "-o", "json", "--ignore-not-found", namespace=namespace)
    return dict(json.loads(text)) if text else {}


def uid(admin: Admin, name: str, namespace: str = "proj-a") -> str:
    """The pod's own uid; empty when there is none."""
    return str(pod(admin, name, namespace).get("metadata", {}).get("uid", ""))


def in_container(admin: Admin, name: str, container: str, *command: str, namespace: str = "proj-a") -> str:
    """What a command prints there, without the laptop's help; empty when it fails."""
    words = ("exec", f"paude-{name}-0", "-c", container, "--", *command)
    return admin(*words, namespace=namespace, check=False)


def until_tmux_answers(admin: Admin, name: str, within: float = 60) -> str:
    """The pid of the agent's tmux server, seen without any laptop."""
    look = (*TMUX.split(), "display-message", "-p", "#{pid}.#{start_time}")
    return eventually(lambda: in_container(admin, name, "agent", *look).strip(), within, "the agent's tmux")


def until_another_pod(admin: Admin, name: str, before: str, within: float = 60) -> str:
    """The uid of the pod that took the place of `before`."""
    return eventually(lambda: (found := uid(admin, name)) != before and found, within, "another pod") or ""


def network_of(address: str) -> str:
    """The network namespace, by its name on the node, of the pod with this address."""
    names = (place.name for place in Path("/run/netns").glob("cni-*"))
    return next(name for name in names if f" {address}/" in _addresses(name))


def _addresses(namespace: str) -> str:
    words = ["ip", "-n", namespace, "-o", "addr", "show"]
    return subprocess.run(words, capture_output=True, text=True).stdout


def evict(admin: Admin, name: str) -> None:
    """As a node that is drained does it: by the eviction API."""
    admin("create", "--raw", f"/api/v1/namespaces/proj-a/pods/paude-{name}-0/eviction", "-f", _eviction(name))


def _eviction(name: str) -> str:
    path = Path(f"/tmp/paude-eviction-{os.getpid()}.json")
    meta = {"name": f"paude-{name}-0", "namespace": "proj-a"}
    path.write_text(json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}))
    return str(path)


def first_processes(name: str) -> dict[str, int]:
    """The first process of the session's gate and of its agent, as the node numbers them."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            inner = (entry / "status").read_text().partition("NSpid:")[2].split("\n")[0].split()
        except OSError:
            continue
        if f"PAUDE_SESSION={name}".encode() in environment and len(inner) > 1 and inner[-1] == "1":
            gate = any(one.startswith(b"PAUDE_SESSION_UID=") for one in environment)
            found["gate" if gate else "agent"] = int(entry.name)
    return found


def kill_first_processes(name: str) -> list[int]:
    """SIGKILL to the first process of each of the session's containers, from the node; gives whom it hit."""
    hit = list(first_processes(name).values())
    for pid in hit:
        os.kill(pid, signal.SIGKILL)
    return hit


def started_anew(component: str) -> None:
    """End a part of the cluster and start it again: everybody who uses the cluster is without it for some seconds."""
    state = Path(os.environ.get("PAUDE_TEST_STATE", "/var/tmp/paude-cluster"))
    pid = int((state / "run" / f"{component}.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    subprocess.run([CHECKOUT / "scripts/cluster", "up"], check=True, capture_output=True, timeout=120)
