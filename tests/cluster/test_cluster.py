"""The test cluster keeps its promises: users, policies, a namespace like OpenShift's, volumes, registry, wall."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

STATE = Path(os.environ.get("PAUDE_TEST_STATE", "/nonexistent"))
KUBECTL = Path(os.environ.get("PAUDE_TEST_BIN", "/nonexistent")) / "kubectl"
REGISTRY, PROBE = os.environ.get("PAUDE_TEST_REGISTRY", ""), os.environ.get("PAUDE_TEST_PROBE_IMAGE", "")


@pytest.fixture(scope="module", autouse=True)
def cluster_is_there() -> None:
    """A missing cluster is a failure, not a skip."""
    assert STATE.is_dir(), 'no cluster: eval "$(scripts/cluster up)"'


SAFE = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def run(
    *command: str | Path, stdin: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(env or {})},
    )


def kubectl(context: str, *arguments: str, stdin: str | None = None) -> str:
    done = run(KUBECTL, "--kubeconfig", STATE / "tests.kubeconfig", "--context", context, *arguments, stdin=stdin)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


def refusal(context: str, *arguments: str, stdin: str | None = None) -> str:
    with pytest.raises(AssertionError) as caught:
        kubectl(context, *arguments, stdin=stdin)
    return str(caught.value)


def until(found: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def pod(
    name: str, script: str = "sleep 600", *, context: dict[str, Any] | None = SAFE, image: str = PROBE, **spec: Any
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": image, "command": ["/bin/sh", "-c", script]}
    if context is not None:
        container["securityContext"] = context
    if "volumes" in spec:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"smoke": "true", "app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def create(context: str, *objects: dict[str, Any]) -> None:
    for o in objects:
        kubectl(context, "create", "-f", "-", stdin=json.dumps(o))


def ready(context: str, name: str) -> None:
    kubectl(context, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def client_reaches(address: str) -> bool:
    """Whether the pod "client" can connect to port 8080 there."""
    script = f"nc -w 1 {address} 8080 < /dev/null && echo open || echo shut"
    return kubectl("dev", "exec", "client", "--", "sh", "-c", script).strip() == "open"


def admitted(context: str, o: dict[str, Any]) -> dict[str, Any]:
    """What the API server would make of it."""
    answer = kubectl(context, "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(o))
    spec: dict[str, Any] = json.loads(answer)["spec"]
    return spec


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for context in ("dev", "shift"):
        kubectl(context, "delete", "pods,services,networkpolicies,pvc,secrets", "-l", "smoke=true", "--wait=true")


def test_each_user_may_what_he_should() -> None:
    kubectl("local", "get", "nodes")
    assert kubectl("dev", "auth", "can-i", "create", "networkpolicies").strip() == "yes"
    kubectl("shift", "get", "imagestream", "paude-probe")
    assert "forbidden" in refusal("dev", "get", "nodes")
    assert "forbidden" in refusal("dev", "-n", "openshift-image-registry", "get", "services")
    assert "forbidden" in refusal("nobody", "get", "pods")
    assert "Unauthorized" in refusal("expired", "get", "pods")


def test_without_a_ca_in_the_kubeconfig_the_systems_store_decides() -> None:
    config = STATE / "noca.kubeconfig"
    assert "certificate" in run(KUBECTL, "--kubeconfig", config, "get", "pods").stderr
    trusting = {"SSL_CERT_FILE": os.environ["PAUDE_TEST_CA"]}
    assert run(KUBECTL, "--kubeconfig", config, "get", "pods", env=trusting).returncode == 0


def test_a_policy_shuts_an_open_port_in_both_address_families() -> None:
    create("dev", pod("server", "mkdir /tmp/w; exec httpd -f -p 8080 -h /tmp/w"), pod("client"))
    service = {"selector": {"app": "server"}, "ports": [{"port": 8080}], "ipFamilyPolicy": "PreferDualStack"}
    meta = {"name": "server", "labels": {"smoke": "true"}}
    create("dev", {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service})
    ready("dev", "server")
    ready("dev", "client")
    own = kubectl("dev", "get", "pod", "server", "-o", "jsonpath={.status.podIPs[*].ip}").split()
    behind = kubectl("dev", "get", "service", "server", "-o", "jsonpath={.spec.clusterIPs[*]}").split()
    assert [":" in one for one in own + behind] == [False, True, False, True]

    def reached() -> list[bool]:
        return [client_reaches(one) for one in own + behind]

    assert until(lambda: all(reached()))
    deny = {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"]}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "labels": {"smoke": "true"}},
    }
    create("dev", {**policy, "spec": deny})
    assert until(lambda: not any(reached()))
    to_server = {"to": [{"podSelector": {"matchLabels": {"app": "server"}}}], "ports": [{"port": 8080}]}
    create(
        "dev",
        {**policy, "metadata": {"name": "allow", "labels": {"smoke": "true"}}, "spec": {**deny, "egress": [to_server]}},
    )
    assert until(lambda: all(reached()))


def test_shift_fills_in_what_is_unset_and_nothing_else() -> None:
    plain = pod("plain", context=None, initContainers=[{"name": "first", "image": PROBE}])
    spec = admitted("shift", plain)
    assert spec["securityContext"] == {"fsGroup": 1000700000, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in spec["containers"] + spec["initContainers"]:
        assert container["securityContext"] == {
            "runAsUser": 1000700000,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    own = pod(
        "own",
        context={"runAsUser": 1000700007, "readOnlyRootFilesystem": True},
        securityContext={"fsGroup": 1000700009},
    )
    spec = admitted("shift", own)
    assert spec["securityContext"]["fsGroup"] == 1000700009
    assert spec["containers"][0]["securityContext"]["runAsUser"] == 1000700007
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    whole = admitted("shift", pod("whole", context=None, securityContext={"runAsUser": 1000700005}))
    assert "runAsUser" not in whole["containers"][0]["securityContext"]
    assert admitted("dev", pod("elsewhere"))["securityContext"] == {}


@pytest.mark.parametrize(
    "wrong",
    [
        pod("user", context={"runAsUser": 1000}),
        pod("pod-user", context=None, securityContext={"runAsUser": 1000}),
        pod("group", context=None, securityContext={"fsGroup": 1000}),
        pod(
            "init",
            context=None,
            initContainers=[{"name": "first", "image": PROBE, "securityContext": {"runAsUser": 1000}}],
        ),
    ],
    ids=lambda o: o["metadata"]["name"],
)
def test_shift_refuses_foreign_users_and_groups(wrong: dict[str, Any]) -> None:
    said = refusal("shift", "create", "-f", "-", stdin=json.dumps(wrong))
    assert "unable to validate against any security context constraint" in said


def test_shift_fills_in_ephemeral_containers() -> None:
    create("shift", pod("host", context=None))
    ready("shift", "host")
    debug = ("debug", "host", f"--image={PROBE}", "--profile=restricted", "-c", "debugger", "--", "sleep", "600")
    kubectl("local", "-n", "shift", *debug)  # ordinary users may not
    spec = json.loads(kubectl("shift", "get", "pod", "host", "-o", "json"))["spec"]
    assert spec["ephemeralContainers"][0]["securityContext"]["runAsUser"] == 1000700000


@pytest.mark.parametrize("group", [2000, None])
def test_a_volume_is_writable_only_by_its_group(group: int | None) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": {"smoke": "true"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    create("dev", claim, pod("writer", volumes=[volume], securityContext={"fsGroup": group} if group else {}))
    ready("dev", "writer")
    script = "touch /data/file 2> /dev/null && echo yes || echo no"
    assert kubectl("dev", "exec", "writer", "--", "sh", "-c", script).strip() == ("yes" if group else "no")


@pytest.fixture
def pushed() -> str:
    """The probe image in the registry, and not on the node by that name."""
    if not (archives := list((Path(os.environ["PAUDE_TEST_BIN"]).parent / "images").glob("probe-*.tar"))):
        raise AssertionError("scripts/cluster up packs the probe image")
    assert run("podman", "load", "-q", "-i", archives[0]).returncode == 0
    (STATE / "certs").mkdir(exist_ok=True)
    (STATE / "certs/ca.crt").write_text((STATE / "pki/ca.crt").read_text())
    name = f"shift/probe:{time.time_ns()}"
    push = run(
        "podman", "push", "-q", "--cert-dir", STATE / "certs", "--creds", "dev:token123", PROBE, f"{REGISTRY}/{name}"
    )
    assert push.returncode == 0, push.stderr
    return name


def test_a_pull_needs_a_secret(pushed: str) -> None:
    def reason() -> str:
        path = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
        return kubectl("dev", "get", "pod", "puller", "-o", path)

    create("dev", pod("puller", image=f"{REGISTRY}/{pushed}"))
    assert until(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"))
    kubectl("dev", "delete", "pod", "puller")
    login = ("--docker-server", REGISTRY, "--docker-username", "dev", "--docker-password", "token123")
    kubectl("dev", "create", "secret", "docker-registry", "pull", *login)
    kubectl("dev", "label", "secret", "pull", "smoke=true")
    create("dev", pod("puller", image=f"{REGISTRY}/{pushed}", imagePullSecrets=[{"name": "pull"}]))
    ready("dev", "puller")


def test_shift_pulls_by_the_registrys_inner_name(pushed: str) -> None:
    create("shift", pod("puller", context=None, image=f"image-registry.openshift-image-registry.svc:5000/{pushed}"))
    ready("shift", "puller")


def test_an_eviction_ends_a_pod() -> None:
    create("dev", pod("drained"))
    ready("dev", "drained")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "drained", "namespace": "proj-a"}}
    path = "/api/v1/namespaces/proj-a/pods/drained/eviction"
    kubectl("dev", "create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    assert until(lambda: "NotFound" in run(KUBECTL, "--context", "dev", "get", "pod", "drained").stderr)


@pytest.fixture
def stranger() -> Iterator[dict[str, str]]:
    """A host that the wall does not know: a network namespace of our own that stands for the rest of the world.

    Its addresses, by the program that has the rules for them.
    """
    ours, theirs, name = "10.99.99.1", "10.99.99.2", "paude-stranger"
    ours6, theirs6 = "fd99:99::1", "fd99:99::2"
    script = f"""set -e
      ip netns add {name}
      ip link add {name[6:]} type veth peer name eth0 netns {name}
      ip addr add {ours}/30 dev {name[6:]}; ip addr add {ours6}/64 dev {name[6:]} nodad; ip link set {name[6:]} up
      ip -n {name} addr add {theirs}/30 dev eth0; ip -n {name} addr add {theirs6}/64 dev eth0 nodad
      ip -n {name} link set eth0 up
      ip -n {name} route add default via {ours}; ip -n {name} -6 route add default via {ours6}"""
    assert (done := run("sh", "-c", script)).returncode == 0, done.stderr
    server = subprocess.Popen(["ip", "netns", "exec", name, "busybox", "nc", "-ll", "-p", "8080", "-e", "true"])
    yield {"iptables": theirs, "ip6tables": theirs6}
    server.kill()
    server.wait()
    run("ip", "netns", "delete", name)


def test_no_packet_of_a_pod_leaves_this_machine(stranger: dict[str, str]) -> None:
    create("dev", pod("client"))
    ready("dev", "client")

    for program, address in stranger.items():
        rule = (program, "-w", "10", "-t", "mangle")
        gap = ("PAUDE-FORWARD", "-d", address, "-j", "RETURN")
        run(*rule, "-I", *gap)
        try:
            assert until(lambda to=address: client_reaches(to)), "no stranger is there, so that nothing was proven"
        finally:
            run(*rule, "-D", *gap)
        assert not client_reaches(address)
