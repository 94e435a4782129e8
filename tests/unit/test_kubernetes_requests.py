"""What is asked of an API server, in which order, and what becomes of its refusals."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from api_server import FORBIDDEN, VERSION, Answer, connection, serving
from paude.backends.kubernetes import listing, namespaces, proxies, registry, rights, surroundings
from paude.backends.kubernetes.namespaces import Namespace
from paude.backends.kubernetes.relay import relayed
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import Forbidden, ImageError
from paude.images.reference import RegistryTarget
from paude.images.registry import present
from paude.plans import doctor
from paude.settings import Paths, Settings

pytestmark = pytest.mark.anyio


async def test_sessions_that_may_not_be_listed_are_an_error_of_paudes(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, VERSION) if path.startswith("/version") else (403, FORBIDDEN)

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            with pytest.raises(Forbidden):
                await listing.sessions(cluster)


async def test_rights_that_may_not_be_asked_for_are_an_error_of_paudes(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, VERSION) if path.startswith("/version") else (403, FORBIDDEN)

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            with pytest.raises(Forbidden):
                await rights.missing(cluster, rights.NEEDED)


async def test_a_proxy_is_made_once_the_login_that_its_image_is_pulled_with_is_there(tmp_path: Path) -> None:
    made: list[str] = []
    other = threading.Event()
    up = {"status": {"availableReplicas": 1, "updatedReplicas": 1}}

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "POST":
            if body["kind"] == "Secret":
                other.wait(0.3)  # the longer the login takes, the surer whatever does not wait for it comes first
            else:
                other.set()
            made.append(body["kind"])
            return 201, body
        items = [{"metadata": {"name": "paude-proxy"}, **up}] if "/deployments" in path else []
        return 200, {**VERSION, "items": items, "metadata": {"resourceVersion": "1"}}

    source = proxies.Source("registry.test/paude-proxy:1", (), {".dockerconfigjson": b"{}"})
    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            namespace = Namespace(cluster, "team", ids_assigned=False)
            await proxies.roll_out(namespace, Allowlist(("a.test",)), Company(), source)

    assert made[0] == "Secret"
    assert set(made[1:]) == {"ConfigMap", "NetworkPolicy", "Deployment"}


async def test_a_proxys_pull_secret_that_has_gone_is_not_made_again_without_content(tmp_path: Path) -> None:
    pod = {"imagePullSecrets": [{"name": "paude-proxy-1-pull"}, {"name": "own"}], "containers": [{"image": "i"}]}
    made = proxies.Source("i", ("own",), None, Settings())

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if "/secrets/" in path:
            return 404, {}
        return 200, {**VERSION, "spec": {"template": {"spec": pod}}}

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            assert await proxies.source_of(cluster, "1") == made


@pytest.mark.parametrize(("comes", "kinds"), [(True, []), (False, ["configmaps", "networkpolicies", "secrets"])])
async def test_a_session_that_comes_while_a_proxy_goes_finds_its_policy(
    comes: bool, kinds: list[str], tmp_path: Path
) -> None:
    removed: list[str] = []
    user = {"metadata": {"labels": {"paude.io/session": "other", "paude.io/serves": "1"}}}

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "DELETE":
            removed.append(path.rpartition("/")[0].rpartition("/")[2])
        items = [user] if "/services" in path and removed and comes else []
        return 200, {**VERSION, "items": items, "metadata": {"resourceVersion": "1"}}

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            assert await proxies.remove_unused(cluster, "1", within_s=5)

    assert removed[:4] == ["deployments", *kinds]


@pytest.mark.parametrize("label", ["paude.io/serves", proxies.NEXT])
async def test_a_proxy_that_somebody_wants_since_its_users_were_asked_for_is_not_deleted(
    label: str, tmp_path: Path
) -> None:
    """A start, or a change of the list, that comes between the question and the deletion."""
    versions, refused, services = ["1"], [], []

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "DELETE":
            services.append({"metadata": {"labels": {"paude.io/session": "other", label: "1"}}})
            versions.append("2")
            if body["preconditions"]["resourceVersion"] != versions[-1]:
                refused.append(path)
                return 409, {"kind": "Status", "reason": "Conflict", "message": "it was changed"}
        items = services if "/services" in path else []
        return 200, {**VERSION, "items": items, "metadata": {"resourceVersion": versions[-1]}}

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            assert not await proxies.remove_unused(cluster, "1")

    assert len(refused) == 1


async def test_a_proxy_that_is_deleted_while_it_is_waited_for_is_made_again(tmp_path: Path) -> None:
    """What a deletion tells last is how the proxy was: up."""
    made: list[str] = []
    up = {"availableReplicas": 1, "updatedReplicas": 1}

    def deployment(status: dict[str, int]) -> dict[str, Any]:
        return {"metadata": {"name": "paude-proxy", "resourceVersion": "1"}, "status": status}

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "POST":
            made.append(body["kind"])
            return 201, body
        again = made.count("Deployment") > 1
        if "watch=true" in path:
            return 200, {"type": "DELETED" if "/deployments" in path else "BOOKMARK", "object": deployment(up)}
        items = [deployment(up if again else {})] if "/deployments" in path else []
        return 200, {**VERSION, "items": items, "metadata": {"resourceVersion": "1"}}

    source = proxies.Source("registry.test/paude-proxy:1")
    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            namespace = Namespace(cluster, "team", ids_assigned=False)
            await proxies.roll_out(namespace, Allowlist(("a.test",)), Company(), source)

    assert made.count("Deployment") == 2


async def test_finding_openshifts_registry_takes_no_right_that_is_not_asked_for(tmp_path: Path) -> None:
    verbs: set[str] = set()

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if "/imagestreams" in path:
            verbs.add({"GET": "get" if "/imagestreams/" in path else "list", "POST": "create"}[method])
        return 200, {**VERSION, "items": [], "status": {"publicDockerImageRepository": "registry.test/team/x"}}

    with serving(answer) as url:
        paths = Paths(*[tmp_path] * 4)
        async with connection(url, tmp_path) as cluster, registry.target(cluster, None, paths) as found:
            assert found.host_and_path == "registry.test/team"

    assert verbs == {"list", "create"}
    assert verbs <= {verb for rule in rights.ON_OPENSHIFT if rule.resource == "imagestreams" for verb in rule.verbs}


@pytest.mark.parametrize("named", [None, RegistryTarget("registry.test/me")])
async def test_what_the_namespace_publishes_is_trusted_for_the_clusters_own_registry_alone(
    named: RegistryTarget | None, tmp_path: Path
) -> None:
    published = "what anybody with edit can write"

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return 200, {
            **VERSION,
            "items": [{"status": {"publicDockerImageRepository": "registry.test/team/x"}}],
            "data": {"ca.crt": published} if "kube-root-ca.crt" in path else {},
        }

    with serving(answer) as url:
        paths = Paths(*[tmp_path] * 4)
        async with connection(url, tmp_path) as cluster, registry.target(cluster, named, paths) as found:
            trusted = found.ca_file.read_text() if found.ca_file else ""

    assert (published in trusted) is (named is None)


async def test_a_registry_with_an_inner_name_only_is_reached_through_a_relay_that_no_known_image_needs(
    tmp_path: Path,
) -> None:
    digest, made = f"sha256:{'a' * 64}", []
    tags = [{"tag": "1", "items": [{"image": digest}, {"image": "older"}]}, {"tag": "2", "items": None}]
    inner = "registry.inner.svc:5000/team"
    streams = [{"metadata": {"name": "g"}, "status": {"dockerImageRepository": f"{inner}/g", "tags": tags}}]
    authorities = {"kube-root-ca.crt": {"ca.crt": "root"}, "openshift-service-ca.crt": {"service-ca.crt": "service"}}

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method != "GET":
            made.append(path)
        return 200, {**VERSION, "items": streams, "data": authorities.get(path.rpartition("/")[2], {})}

    with serving(answer) as url:
        paths = Paths(*[tmp_path] * 4)
        async with connection(url, tmp_path) as cluster, registry.target(cluster, None, paths) as found:
            assert (found.host_and_path, found.pull_from) == (inner, None)
            assert found.way is not None
            assert found.known == {"team/g:1": digest}
            assert await present(found.reference("g", "1"), found) == digest
            assert found.ca_file is not None
            assert found.ca_file.read_text().split() == ["root", "service"]
            checks = await doctor.registry_of_cluster(cluster, "", "", paths)
            assert [(one.result, "makes a relay" in one.seen) for one in checks] == [("ok", True)]

    assert made == []


async def test_a_relay_that_cannot_be_made_is_an_error_that_says_what_else_there_is(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (403, FORBIDDEN) if method == "POST" else (200, {**VERSION, "items": []})

    with serving(answer) as url:
        async with (
            connection(url, tmp_path) as cluster,
            relayed(cluster, "registry.inner.svc:5000", Paths(*[tmp_path] * 4), "mine") as way,
        ):
            with pytest.raises(ImageError, match="has no public name") as failed:
                await way()

    assert "--registry" in failed.value.hint
    assert "create" in failed.value.why


@pytest.mark.parametrize(("tunnel", "needed"), [("websocket", False), ("kubectl", True)])
async def test_a_program_that_carries_the_tunnels_needs_the_right_to_exec(
    tunnel: str, needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAUDE_TUNNEL", tunnel)

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return 200, {**VERSION, "items": []}

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            rules = await rights.needed(cluster, own_registry=True)

    assert ("pods/exec" in {rule.resource for rule in rules}) is needed


INNER_ONLY = {"dockerImageRepository": "registry.inner.svc:5000/team/x"}
WITH_ROUTE = {**INNER_ONLY, "publicDockerImageRepository": "registry.test/team/x"}


@pytest.mark.parametrize(
    ("shared", "own", "named", "relay"),
    [
        (INNER_ONLY, None, False, True),
        (WITH_ROUTE, INNER_ONLY, False, False),
        (None, INNER_ONLY, False, True),
        ({}, INNER_ONLY, False, True),
        (None, WITH_ROUTE, False, False),
        (None, {}, False, False),
        (None, None, False, False),
        (INNER_ONLY, INNER_ONLY, True, False),
    ],
)
async def test_the_relays_rights_are_asked_for_where_the_registry_is_seen_to_have_no_route(
    shared: dict[str, str] | None, own: dict[str, str] | None, named: bool, relay: bool, tmp_path: Path
) -> None:
    asked: set[str] = set()

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        asked.add(method)
        if "/imagestreams" not in path:
            return 200, {**VERSION, "items": []}
        status = shared if "/namespaces/openshift/imagestreams/" in path else own
        found = {"metadata": {"name": "x"}, "status": status}
        return (403, FORBIDDEN) if status is None else (200, {**found, "items": [found]})

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            rules = await rights.needed(cluster, own_registry=not named)

    wanted = {(rule.resource, verb) for rule in rules for verb in rule.verbs}
    assert ({("pods", "create"), ("pods/exec", "create")} <= wanted) is relay
    assert ("pods", "create") not in {(rule.resource, verb) for rule in rights.NEEDED for verb in rule.verbs}
    assert asked == {"GET"}


async def test_a_project_of_somebody_elses_is_told_as_one(tmp_path: Path) -> None:
    exists = {
        "kind": "Status",
        "reason": "AlreadyExists",
        "message": 'project.project.openshift.io "work" already exists',
    }

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "POST":
            return 409, exists
        return (403, FORBIDDEN) if "/namespaces/work" in path else (200, VERSION)

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            with pytest.raises(Forbidden, match="work is taken, and you may not see it") as refused:
                await namespaces.ensure(cluster, create=True)
    assert "role `edit`" in refused.value.hint
    assert "somebody else" in refused.value.why


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ({}, True),
        ({"scopes": ["NotTerminating", "NotBestEffort"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotTerminating", "BestEffort"]}, False),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, False),
    ],
    ids=str,
)
async def test_a_quota_without_sessions_is_none(tmp_path: Path, spec: dict[str, Any], counts: bool) -> None:
    status = {"hard": {"limits.cpu": "4"}, "used": {"limits.cpu": "1"}}
    items = [{"metadata": {"name": "q"}, "spec": spec, "status": status}]

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return 200, {**VERSION, "items": items, "metadata": {"resourceVersion": "1"}}

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            found = await surroundings.quotas(cluster)
    assert found == ((surroundings.Room("q", "limits.cpu", "4", "1"),) if counts else ())
