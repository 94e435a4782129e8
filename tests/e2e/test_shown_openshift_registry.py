"""OpenShift's own registry, from an ordinary user's laptop: without a route, and with one that another CA signs."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import yaml
from peers.waiting import eventually

from laptop import Admin, Laptop
from openshift_space import INNER, INNER_HOST, create, inner_name, like_openshift, publish
from paude.images.once import Once
from paude.images.push import push
from paude.images.reference import ImageReference, Login, RegistryTarget
from registry_server import Registry, authority, serving

pytestmark = pytest.mark.cluster

RELAYS = "paude.io/role=relay"
DENY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny-all"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "none"},
    "spec": {"hard": {"count/pods": "0"}},
}


@contextmanager
def without_route(kubectl: Admin, cluster_env: Mapping[str, str], directory: Path) -> Iterator[tuple[str, Registry]]:
    """A namespace whose registry has its inner name only, which a CA of its own signs and only pods can resolve."""
    ca = authority(directory, INNER_HOST)
    node = kubectl("get", "nodes", "-o", 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
    host, state = node.split()[0], Path(cluster_env["PAUDE_TEST_STATE"])
    with (
        serving(directory, login_of(state), state / "registry", host=host) as registry,
        inner_name(kubectl, cluster_env["PAUDE_TEST_PROBE_IMAGE"], registry.address),
        like_openshift(kubectl, None) as space,
    ):
        publish(kubectl, space, "openshift-service-ca.crt", "service-ca.crt", ca)
        create(kubectl, space, DENY)
        yield space, registry


def login_of(state: Path) -> str:
    return f"  htpasswd: {{realm: registry, path: {state}/htpasswd}}"


def of_the_cluster(laptop: Laptop, address: str) -> None:
    """Nothing is said of a registry, and there is a login to the one at this address."""
    laptop.env = {key: value for key, value in laptop.env.items() if not key.startswith("PAUDE_REGISTRY")}
    entry = {"auth": base64.b64encode(b"dev:token123").decode()}
    file = laptop.home / "own.json"
    file.write_text(json.dumps({"auths": {address: entry}}))
    laptop.env["REGISTRY_AUTH_FILE"] = str(file)


@pytest.fixture
def cli_image(cluster_env: Mapping[str, str], tmp_path: Path) -> None:
    """The image that every OpenShift has, as far as its shell."""
    host = cluster_env["PAUDE_TEST_REGISTRY"]
    target = RegistryTarget(f"{host}/openshift", Login("dev", "token123"), Path(cluster_env["PAUDE_TEST_CA"]))
    base = cluster_env["PAUDE_TEST_BASE_IMAGE"]
    anyio.run(push, base, ImageReference(host, "openshift/cli", "latest"), target, tmp_path / "pushing", Once())


@pytest.mark.usefixtures("cli_image")
def test_without_a_route_a_relay_takes_the_images_to_the_registry_and_goes_again(
    laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    with without_route(kubectl, cluster_env, tmp_path) as (space, registry):
        workspace = laptop.workspace("relayed", {"a.txt": "alpha\n"})
        of_the_cluster(laptop, INNER)
        where = ("--agent", "shell", "--detach", "-n", space)

        # Cut short while it is at work: the relay goes with the run that made it.
        child = laptop.popen("start", str(workspace), *where)
        eventually(lambda: relays(kubectl, space) != [], what="the relay", within=120)
        kubectl("wait", "--for=condition=Ready", "pod", "-l", RELAYS, "--timeout=60s", namespace=space)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
        assert child.returncode == 130
        assert relays(kubectl, space) == []

        done = laptop.paude("start", str(workspace), *where)
        name = str(laptop.records()[str(workspace)]["name"])
        told = done.stdout + done.stderr
        assert f"{INNER} has no public name: a relay in {space} leads there" in told
        pushed = registry.log.until(f'"PUT /v2/{space}/paude-agent/manifests/')
        assert any(f'"PUT /v2/{space}/paude-gate/blobs/uploads/' in line for line in pushed)
        assert relays(kubectl, space) == []
        assert laptop.inside(name, "cat a.txt") == "alpha\n"
        ran = digests(kubectl, space)
        assert {one.partition(":")[0] for one in ran} == {"paude-gate", "paude-agent", "paude-proxy"}
        laptop.paude("stop", name, "--discard")

        # What is there is not sent again, and what the streams tell is not even asked for.
        again = laptop.start(workspace, "-n", space)
        marked = f'"HEAD /v2/{space}/paude-agent/manifests/'
        assert not any("blobs/uploads" in line for line in registry.log.until(marked)[len(pushed) :])
        for image, digest in ran.items():
            create(kubectl, space, stream(space, image, digest))
        laptop.paude("stop", again, "--discard")
        third = laptop.paude("start", str(workspace), *where)
        assert "a relay in" not in third.stdout + third.stderr
        assert relays(kubectl, space) == []
        laptop.paude("stop", "--all", "--discard")

        create(kubectl, space, NO_PODS)
        taken_up = ("--for=jsonpath={.status.hard}", "resourcequota/none", "--timeout=30s")
        kubectl("wait", *taken_up, namespace=space)
        for one in ("paude-gate", "paude-agent", "paude-proxy"):
            kubectl("delete", "imagestream", one, "--ignore-not-found", namespace=space)
        refused = laptop.paude("start", str(workspace), *where, code=8)
        assert f"the registry {INNER} has no public name, and the relay to it does not come up" in refused.stderr
        assert "ask the administrators to expose the registry's route" in refused.stderr
        assert relays(kubectl, space) == []


@pytest.mark.usefixtures("cli_image")
def test_with_exactly_the_printed_role_a_push_goes_through_the_relay(
    laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    with without_route(kubectl, cluster_env, tmp_path) as (space, _), everybodys_streams(kubectl):
        of_the_cluster(laptop, INNER)
        laptop.env |= {"KUBECONFIG": nobodys(cluster_env, tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        refused = laptop.paude("setup", "--yes", "-n", space, code=6)
        role, binding = yaml.safe_load_all(refused.stdout)
        whole = role["rules"]

        def apply(rules: list[dict[str, object]]) -> dict[str, str]:
            """Give these rules; what doctor makes of them."""
            create(kubectl, space, {**role, "rules": rules}, binding)
            found = json.loads(laptop.paude("doctor", "-o", "json", code=None, PAUDE_NAMESPACE=space).stdout)["checks"]
            return next(one for one in found if one["name"] == "rights")

        of_the_relay = [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        ]
        seen = apply([rule for rule in whole if rule not in of_the_relay])
        assert (seen["result"], seen["seen"]) == ("failed", "you may not create pods, get/create pods/exec")
        assert apply(whole)["result"] == "ok"
        laptop.paude("setup", "--yes", "-n", space)

        workspace = laptop.workspace("exact", {"a.txt": "alpha\n"})
        done = laptop.paude("start", str(workspace), "--agent", "shell", "--detach")
        assert f"{INNER} has no public name: a relay in {space} leads there" in done.stdout + done.stderr
        name = str(laptop.records()[str(workspace)]["name"])
        assert laptop.inside(name, "cat a.txt") == "alpha\n"
        laptop.paude("stop", name, "--discard")
        assert relays(kubectl, space) == []


@pytest.mark.usefixtures("cli_image")
def test_a_relay_that_a_killed_start_left_is_cleaned_up_by_its_own_laptop(
    laptop: Laptop, other_laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    def listed(on: Laptop) -> list[str]:
        return [one["name"] for one in json.loads(on.paude("cleanup", "--dry-run", "-o", "json").stdout)["relays"]]

    with without_route(kubectl, cluster_env, tmp_path) as (space, _):
        for one in (laptop, other_laptop):
            of_the_cluster(one, INNER)
            one.env["PAUDE_NAMESPACE"] = space
        child = laptop.popen("start", str(laptop.workspace("killed")), "--agent", "shell", "--detach")
        eventually(lambda: relays(kubectl, space) != [], what="the relay", within=120)
        os.killpg(child.pid, signal.SIGSTOP)
        assert listed(laptop) == [], "it is at work"
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=60)

        left = kubectl("get", "pods", "-l", RELAYS, "-o", "name", namespace=space).split()
        assert [f"pod/{name}" for name in listed(laptop)] == left != []
        assert listed(other_laptop) == []
        assert "the start that pushed through it was killed" in laptop.paude("cleanup").stderr
        assert listed(laptop) == []
        eventually(lambda: relays(kubectl, space) == [], what="the end of what is left", within=60)


def test_a_public_name_that_one_of_the_published_authorities_signs_needs_no_setting(
    laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    state, own = Path(cluster_env["PAUDE_TEST_STATE"]), Path(cluster_env["PAUDE_TEST_CA"])
    (tmp_path / "other").mkdir()
    other, ingress = authority(tmp_path / "other"), authority(tmp_path)
    with (
        serving(tmp_path, login_of(state), state / "registry") as public,
        like_openshift(kubectl, public.address) as space,
    ):
        workspace = laptop.workspace("signed", {"a.txt": "alpha\n"})
        of_the_cluster(laptop, public.address)
        refused = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", "-n", space, code=8)
        assert f"the certificate of {public.address} is not trusted" in refused.stderr

        publish(kubectl, space, "kube-root-ca.crt", "ca.crt", own, other, ingress)
        name = laptop.start(workspace, "-n", space)
        assert laptop.inside(name, "cat a.txt") == "alpha\n"
        pod = json.loads(kubectl("get", "pod", f"paude-{name}-0", "-o", "json", namespace=space))
        assert all(one["image"].startswith(f"{INNER}/{space}/paude-") for one in pod["spec"]["containers"])
        laptop.paude("stop", name, "--discard")


@contextmanager
def everybodys_streams(kubectl: Admin) -> Iterator[None]:
    """The namespace of OpenShift's own images, whose streams whoever is logged in may read."""
    space, of = "openshift", "rbac.authorization.k8s.io"
    kubectl("create", "namespace", space)
    try:
        reads = {"apiGroups": ["image.openshift.io"], "resources": ["imagestreams"], "verbs": ["get", "list", "watch"]}
        cli = {"dockerImageRepository": f"{INNER}/{space}/cli"}
        create(
            kubectl,
            space,
            {
                "apiVersion": f"{of}/v1",
                "kind": "Role",
                "metadata": {"name": "viewer"},
                "rules": [reads],
            },
            {
                "apiVersion": f"{of}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "viewers"},
                "roleRef": {"apiGroup": of, "kind": "Role", "name": "viewer"},
                "subjects": [{"apiGroup": of, "kind": "Group", "name": "system:authenticated"}],
            },
            {
                "apiVersion": "image.openshift.io/v1",
                "kind": "ImageStream",
                "metadata": {"name": "cli"},
                "status": cli,
            },
        )
        yield
    finally:
        kubectl("delete", "namespace", space)


def nobodys(cluster_env: Mapping[str, str], directory: Path) -> str:
    """The kubeconfig of a user who is logged in, and has no right in any namespace."""
    config = yaml.safe_load(Path(f"{cluster_env['PAUDE_TEST_STATE']}/tests.kubeconfig").read_text())
    file = directory / "nobody.kubeconfig"
    file.write_text(yaml.safe_dump({**config, "current-context": "nobody"}))
    return str(file)


def relays(kubectl: Admin, space: str) -> list[str]:
    """What there is of relays."""
    pods = kubectl("get", "pods", "-l", RELAYS, "-o", "name", namespace=space).split()
    policies = kubectl("get", "networkpolicies", "-o", "name", namespace=space).split()
    return [*pods, *(one for one in policies if "/paude-relay-" in one)]


def digests(kubectl: Admin, space: str) -> dict[str, str]:
    """What the images that pods run turn out to be, by name and tag; all of them are pulled by the inner name."""
    found = {}
    for pod in json.loads(kubectl("get", "pods", "-o", "json", namespace=space))["items"]:
        spec, status = pod["spec"], pod["status"]
        told = (*status["containerStatuses"], *status.get("initContainerStatuses", ()))
        ran = {one["name"]: one["imageID"].rpartition("@")[2] for one in told}
        for one in (*spec["containers"], *spec.get("initContainers", ())):
            assert one["image"].startswith(f"{INNER}/{space}/paude-")
            found[one["image"].rpartition("/")[2].partition("@")[0]] = ran[one["name"]]
    return found


def stream(space: str, image: str, digest: str) -> dict[str, object]:
    """What OpenShift's registry makes of an image that was pushed to it."""
    name, _, tag = image.partition(":")
    items = [{"image": digest, "dockerImageReference": f"{INNER}/{space}/{name}@{digest}"}]
    return {
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStream",
        "metadata": {"name": name},
        "status": {"dockerImageRepository": f"{INNER}/{space}/{name}", "tags": [{"tag": tag, "items": items}]},
    }
