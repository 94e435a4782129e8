"""The port-forward tunnel against a real API server and kubelet."""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

import anyio
import pytest
import yaml
from anyio.abc import ByteStream

from paude.backends.kubernetes import kubeconfig
from paude.backends.kubernetes.tunnels import ByProgram
from paude.errors import ConnectionLost, SessionGone
from paude.process import run
from paude.tunnel.backoff import Backoff
from paude.tunnel.base import Dialer
from paude.tunnel.portforward import ApiAccess, PodPortForward

pytestmark = pytest.mark.cluster

PORT = 2224  # neither the gate's nor the agent's
ECHO = f"nc -ll -p {PORT} -e cat"


class Access:
    """The test cluster's administrator, by client certificate."""

    def __init__(self, directory: Path) -> None:
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        pair = {"certificate": directory / "c.pem", "key": directory / "k.pem"}
        for name, file in pair.items():
            file.write_bytes(base64.b64decode(user[f"client-{name}-data"]))
        trust = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=trust)
        context.load_cert_chain(pair["certificate"], pair["key"])
        self._access = ApiAccess(cluster["server"], context, {})

    async def __call__(self, again: bool) -> ApiAccess:
        return self._access


@pytest.fixture
def access(tmp_path: Path) -> Access:
    if "KUBECONFIG" not in os.environ:
        pytest.skip("the test cluster is not up")
    return Access(tmp_path)


async def kubectl(*words: str, stdin: bytes | None = None) -> str:
    program = Path(os.environ["PAUDE_TEST_BIN"]) / "kubectl"
    return (await run([program, *words], stdin=stdin, env=dict(os.environ))).text


@asynccontextmanager
async def pod(*, blocked: bool = False) -> AsyncIterator[tuple[str, str]]:
    """A pod that echoes on its loopback; `blocked` leaves it in its init phase, with the echo in a sidecar."""
    name = f"tunnel-{token_hex(3)}"
    echo = container("echo", ECHO)
    spec = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [echo]}
    if blocked:
        wait = container("wait", "sleep 600")
        spec |= {
            "initContainers": [{**echo, "restartPolicy": "Always"}, wait],
            "containers": [container("main", "true")],
        }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": name}, "spec": spec}
    objects = {"apiVersion": "v1", "kind": "List", "items": [namespace, body]}
    await kubectl("create", "-f", "-", stdin=json.dumps(objects).encode())
    try:
        field = "initContainerStatuses" if blocked else "containerStatuses"
        await kubectl(
            "-n", name, "wait", f"--for=jsonpath={{.status.{field}[0].started}}=true", "pod/p", "--timeout=60s"
        )
        yield name, "p"
    finally:
        with anyio.CancelScope(shield=True):
            await kubectl("delete", "namespace", name, "--wait=false")


def container(name: str, command: str) -> dict[str, object]:
    return {
        "name": name,
        "image": os.environ["PAUDE_TEST_PROBE_IMAGE"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        "securityContext": {
            "runAsUser": 1000,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def by_kubectl(namespace: str, name: str) -> ByProgram:
    """kubectl's port-forward, as the user's settings would have it."""
    target = kubeconfig.choose(kubeconfig.files_from(None), namespace=namespace)
    return ByProgram(str(Path(os.environ["PAUDE_TEST_BIN"]) / "kubectl"), target, name)


async def speaking(way: Dialer) -> ByteStream:
    """A stream to the echo; a container that has started does not listen yet."""
    backoff = Backoff(last=1)
    with anyio.fail_after(30):
        while True:
            stream = await way.dial(PORT)
            try:
                await stream.send(b"?")
                assert await stream.receive() == b"?"
            except ConnectionLost:
                await stream.aclose()
                await backoff.wait()
            else:
                return stream


async def echoed(way: Dialer, payload: bytes) -> bytes:
    got = bytearray()
    async with await speaking(way) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, payload)
        with anyio.fail_after(60):
            while len(got) < len(payload):
                got += await stream.receive()
    return bytes(got)


@pytest.mark.parametrize("blocked", [False, True], ids=["running", "in its init phase"])
async def test_bytes_come_back_exactly_from_a_pod(access: Access, blocked: bool):
    payload = os.urandom(4 * 1024 * 1024)
    async with pod(blocked=blocked) as (namespace, name):
        assert await echoed(PodPortForward(access, namespace, name), payload) == payload


async def test_a_port_where_nobody_listens_says_so(access: Access):
    async with pod() as (namespace, name), await PodPortForward(access, namespace, name).dial(2299) as stream:
        with pytest.raises(ConnectionLost, match="refused"), anyio.fail_after(10):
            await stream.receive()


async def test_a_pod_that_does_not_exist_is_gone(access: Access):
    with pytest.raises(SessionGone):
        await PodPortForward(access, "default", f"no-{token_hex(3)}").dial(2222)


async def test_bytes_come_back_exactly_by_kubectl(access: Access):
    payload = os.urandom(4 * 1024 * 1024)
    async with pod() as (namespace, name):
        assert await echoed(by_kubectl(namespace, name), payload) == payload


async def test_kubectl_reaches_no_pod_in_its_init_phase_and_that_is_said(access: Access):
    async with pod(blocked=True) as (namespace, name):
        with pytest.raises(ConnectionLost, match="still starting"):
            await by_kubectl(namespace, name).dial(2223)


async def test_a_pod_that_does_not_exist_is_gone_for_kubectl_too(access: Access):
    with pytest.raises(SessionGone):
        await by_kubectl("default", f"no-{token_hex(3)}").dial(2223)
