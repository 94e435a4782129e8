"""What the cluster refuses, and what was there before: told at once in the cluster's words, nothing of others taken."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

import failing
from failing import Here
from laptop import Admin, Laptop
from paude.settings.quantity import amount

pytestmark = pytest.mark.cluster

AT_ONCE_S = 45  # a start here takes some 10 s, and the machine is shared; whoever waits is ended with another exit code


@pytest.fixture(scope="module")
def space(kubectl: Admin) -> Iterator[str]:
    """A namespace of these tests alone, in which `dev` may edit."""
    name = f"fail-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "rolebinding", "dev", "--clusterrole=edit", "--user=dev", namespace=name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def here(shared_laptop: Laptop, kubectl: Admin, space: str) -> Here:
    return failing.of(shared_laptop, kubectl, space)


@contextmanager
def present(here: Here, obj: Mapping[str, Any]) -> Iterator[None]:
    """An object of the administrator's in the namespace, for the time of the block."""
    file = here.laptop.home / f"{secrets.token_hex(4)}.json"
    file.write_text(json.dumps(obj))
    here.admin("apply", "-f", str(file), namespace=here.space)
    try:
        yield
    finally:
        here.admin("delete", "--ignore-not-found", "-f", str(file), namespace=here.space)
        file.unlink()


def quota(called: str, hard: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": called}, "spec": {"hard": hard}}


@contextmanager
def counted(here: Here, called: str = "small", **hard: str) -> Iterator[None]:
    """A quota that the controller has taken up."""
    with present(here, quota(called, hard)):
        words = ("--for=jsonpath={.status.hard}", f"resourcequota/{called}", "--timeout=30s")
        here.admin("wait", *words, namespace=here.space)
        yield


# --- storage, quota, admission ---


def test_a_storage_class_that_does_not_exist_is_said_at_once(here: Here) -> None:
    says = ("error: the storage class does not exist", '"nope" not found', "hint: see `kubectl get storageclass`")
    here.refused("--storage-class", "nope", "--timeout", str(AT_ONCE_S), code=1, says=says)


FULL = ("--cpu", "4", "--memory", "8Gi", "--cpu-request", "1", "--memory-request", "1Gi")
LESS = "hint: `paude doctor` says what is left; ask for less"


@pytest.mark.parametrize(
    ("hard", "hint"),
    [
        ({"persistentvolumeclaims": "0"}, LESS),
        ({"pods": "0"}, LESS),
        ({"limits.cpu": "1"}, "hint: nothing of it is left"),
    ],
    ids=str,
)
def test_a_quota_is_named_when_it_refuses_with_what_would_fit(here: Here, hard: dict[str, str], hint: str) -> None:
    with counted(here, **hard):
        says = ("error: a quota of the namespace does not let paude", "exceeded quota: small", hint)
        here.refused("--timeout", str(AT_ONCE_S), code=6, says=says)


def test_what_a_quota_leaves_is_proposed_and_started_with_where_that_was_agreed_to(here: Here) -> None:
    workspace = here.laptop.workspace(f"small-{secrets.token_hex(3)}")
    where = (str(workspace), "--agent", "shell", "--detach", "-n", here.space, *FULL)
    # Room for the gate, the proxy, and an agent of half the processors and the memory that it wants.
    small = counted(here, **{"limits.cpu": "5", "requests.cpu": "1"})
    with small, counted(here, "other", **{"limits.memory": "6Gi"}):
        refused = here.laptop.paude("start", *where, code=6)
        less = "--cpu 2000m --memory 4608Mi --cpu-request 900m"
        assert f"what is left is enough for `paude start {less}`" in refused.stderr
        assert all(one in refused.stderr for one in ("limits.cpu", "limits.memory", "requests.cpu"))

        begun = here.laptop.paude("start", *where, "--yes")
        assert "starting so" in begun.stderr
        name = str(here.laptop.records()[str(workspace)]["name"])
        pod = json.loads(here.admin("get", "pod", f"paude-{name}-0", "-o", "json", namespace=here.space))
        (agent,) = (one for one in pod["spec"]["containers"] if one["name"] == "agent")
        assert amount(agent["resources"]["limits"]["cpu"]) == 2
        assert amount(agent["resources"]["limits"]["memory"]) == 4608 * 2**20
        assert agent["resources"]["requests"]["cpu"] == "900m"
        assert here.laptop.inside(name, "echo ready").strip() == "ready"
        here.laptop.paude("stop", name, "--discard")


GUEST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "guest"},
    "spec": {
        "terminationGracePeriodSeconds": 8,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "guest",
                "image": "localhost/probe:1",
                "imagePullPolicy": "Never",
                "command": ["/bin/sleep", "600"],  # as the first process it does not hear that it should end
                "resources": {"limits": {"cpu": "4"}, "requests": {"cpu": "10m"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}


def test_room_that_a_pod_is_about_to_leave_is_waited_for(here: Here) -> None:
    with counted(here, **{"limits.cpu": "8"}), present(here, GUEST):
        here.admin("wait", "--for=condition=Ready", "pod/guest", "--timeout=60s", namespace=here.space)
        begun = here.begin(*FULL)
        assert begun.until_started("create anchor"), begun.words
        here.admin("delete", "pod", "guest", "--wait=false", namespace=here.space)
        assert begun.end() == 0, begun.words
        (record,) = here.laptop.records().values()
        here.laptop.paude("stop", "--discard", str(record["name"]))
    here.leaves_nothing()


def test_a_limit_range_is_told_as_one(here: Here) -> None:
    limits = {"type": "Container", "max": {"memory": "2Gi"}}
    obj = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "low"}, "spec": {"limits": [limits]}}
    with present(here, obj):
        says = ("error: a LimitRange of the namespace", "maximum memory usage per Container is 2Gi", "--memory")
        here.refused(code=6, says=says)


def test_an_admission_policy_that_denies_the_pod_is_told_in_its_words(here: Here) -> None:
    """A namespace that is `restricted` takes the pod, so the denial is made: a policy, as clusters have them."""
    name = f"deny-{here.space}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": here.space}},
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["statefulsets"],
                    }
                ],
            },
            "validations": [{"expression": "false", "message": "no agents on Fridays", "reason": "Forbidden"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    with present(here, {"apiVersion": "v1", "kind": "List", "items": [policy, binding]}):
        _until_denied(here)
        here.refused(code=6, says=("error: the cluster's admission does not let paude", "no agents on Fridays"))


def _until_denied(here: Here) -> None:
    """Policies take effect a moment after they were made, without an event that says so."""
    probe = here.laptop.home / "probe.json"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"serviceName": "a", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    probe.write_text(
        json.dumps({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "probe"}, "spec": spec})
    )
    for _ in range(100):
        if not here.admin("create", "--dry-run=server", "-f", str(probe), namespace=here.space, check=False):
            return
    pytest.fail("the policy never came into effect")


# --- images ---


def pull_secret(password: str) -> dict[str, Any]:
    auth = base64.b64encode(f"dev:{password}".encode()).decode()
    config = json.dumps({"auths": {"registry.test:5000": {"auth": auth}}}).encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bad-login"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config).decode()},
    }


def test_an_image_that_cannot_be_pulled_is_said_at_the_second_refusal(here: Here) -> None:
    """Pushed under a name that no node has yet, and pulled with a login that the registry refuses."""
    with present(here, pull_secret("wrong")):
        fresh = f"registry.test:5000/dev/{here.space}"
        says = (f"error: the cluster cannot pull {fresh}/paude-(gate|proxy):", "hint: .*--pull-secret")
        words = ("--registry", fresh, "--pull-secret", "bad-login", "--timeout", str(2 * AT_ONCE_S))
        here.refused(*words, code=8, says=says)


# --- what belongs to others ---


def test_a_name_that_another_object_has_is_taken_and_the_object_is_left_alone(here: Here) -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "paude-mine"}, "data": {"a": "b"}}
    with present(here, foreign):
        before = here.admin("get", "configmap", "paude-mine", "-o", "json", namespace=here.space)
        here.refused(
            "--name", "mine", code=5, says=("error: ConfigMap paude-mine exists", "hint: choose another --name")
        )
        assert here.admin("get", "configmap", "paude-mine", "-o", "json", namespace=here.space) == before


def test_two_starts_of_one_directory_at_once_make_one_session(here: Here) -> None:
    both = [here.begin(), here.begin()]
    assert sorted(one.end() for one in both) == [0, 5]
    refused = next(one for one in both if one.process.returncode == 5)
    assert re.search("at work on|belongs to the session", refused.words), refused.words
    (record,) = here.laptop.records().values()
    here.laptop.paude("stop", "--discard", str(record["name"]))
    here.leaves_nothing()


def test_a_failed_start_takes_nothing_of_another_session(here: Here, laptop: Laptop) -> None:
    """Its name, its objects and the proxy that both would share stay as they are, and its agent goes on."""
    theirs = failing.of(laptop, here.admin, here.space)
    name = theirs.start("--name", "theirs")
    before = here.admin.names(namespace=here.space)
    here.refused(
        "--name", name, code=5, says=("error: .*paude-theirs exists and belongs to another", "--name"), clean=False
    )
    with counted(here, persistentvolumeclaims="1"):
        here.refused(code=6, says=("exceeded quota: small",), clean=False)
    assert here.laptop.records() == {}
    assert here.admin.names(namespace=here.space) == before
    assert laptop.inside(name, "cat README") == "hello\n"
    laptop.paude("stop", name)
    theirs.leaves_nothing()


def test_a_kept_workspace_outlives_a_start_that_fails(here: Here) -> None:
    name = here.start()
    here.laptop.inside(name, "echo precious > precious")
    here.laptop.paude("stop", name, "--keep-workspace")
    claim = ("get", "pvc", f"paude-{name}", "-o", "jsonpath={.metadata.uid}")
    before = here.admin(*claim, namespace=here.space)
    record = here.laptop.records()
    with counted(here, pods="0"):
        here.refused(code=6, says=("exceeded quota: small",), clean=False)
    assert here.admin(*claim, namespace=here.space) == before
    assert here.laptop.records() == record
    # It is resumed where its volume is, whatever the current context's namespace is by now.
    here.laptop.paude("start", str(here.workspace), "--agent", "shell", "--detach")
    assert here.admin(*claim, namespace=here.space) == before
    assert here.laptop.inside(name, "cat precious") == "precious\n"
    here.laptop.paude("stop", name)
    assert (here.workspace / "precious").read_text() == "precious\n"
    (here.workspace / "precious").unlink()
    here.leaves_nothing()


def test_a_resumed_session_is_not_taken_to_another_namespace(here: Here) -> None:
    name = here.start()
    here.laptop.paude("stop", name, "--keep-workspace")
    done = here.laptop.paude("start", str(here.workspace), "--agent", "shell", "--detach", "-n", "proj-b", code=5)
    assert f"is in namespace {here.space}" in done.stderr
    here.laptop.paude("stop", name, "--discard")
    here.leaves_nothing()


# --- time, trust, namespaces ---


def test_a_limit_in_time_ends_the_start_with_what_was_waited_for(here: Here) -> None:
    says = ("error: `start` was not done within 4 s", "create pod", "hint: give a longer --timeout")
    here.refused("--timeout", "4", "--storage-class", "slow", code=124, says=says)


def test_trust_in_the_systems_store_is_enough_from_end_to_end(here: Here, cluster_env: Mapping[str, str]) -> None:
    """A kubeconfig that names no CA: requests, watches, tunnels and the supervisor all trust what the system trusts."""
    state = cluster_env["PAUDE_TEST_STATE"]
    env = {"KUBECONFIG": f"{state}/noca.kubeconfig", "SSL_CERT_FILE": cluster_env["PAUDE_TEST_CA"]}
    here.laptop.paude("supervisor", "stop", code=None)  # the next one is started in this environment
    name = here.start(**env)
    assert here.laptop.paude("exec", name, "--no-tty", "--", "cat", "README", **env).stdout == "hello\n"
    here.laptop.paude("stop", name, **env)
    here.laptop.paude("supervisor", "stop", code=None)
    here.leaves_nothing()


def openshift(admin: Admin, project: str) -> None:
    """What OpenShift does when a project is asked for: the namespace, and the maker's rights in it, a moment later."""
    admin("wait", "--for=create", "--timeout=30s", f"projectrequest/{project}")
    admin("create", "namespace", project)
    admin("create", "rolebinding", "dev", "--clusterrole=edit", "--user=dev", namespace=project)


def test_a_namespace_is_made_when_that_is_asked_for(here: Here, cluster_env: Mapping[str, str]) -> None:
    name = f"made-{secrets.token_hex(3)}"
    new = Here(here.laptop, here.admin, here.workspace, name)
    words = ("--kubeconfig", cluster_env["KUBECONFIG"], "--context", "local", "--create-namespace")
    controller = threading.Thread(target=openshift, args=(here.admin, name))
    controller.start()
    try:
        new.refused(*words, "--storage-class", "nope", code=1, says=("storage class does not exist",))
        assert here.admin("get", "namespace", name, "-o", "name") == f"namespace/{name}\n"
    finally:
        controller.join()
        here.admin("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        here.admin("delete", "projectrequest", name, "--ignore-not-found")
