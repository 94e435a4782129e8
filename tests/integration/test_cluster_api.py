"""The connection to a cluster against the real API server: watches, ownership, words of refusal."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import kubeconfig, manifests, ownership
from paude.backends.kubernetes.cluster import Cluster
from paude.backends.kubernetes.manifests import Identity
from paude.errors import AdmissionDenied, Forbidden, LoginExpired, NameTaken
from paude.settings import Paths

pytestmark = [pytest.mark.cluster, pytest.mark.anyio]

TESTS = Path(os.environ.get("PAUDE_TEST_STATE", "/var/tmp/paude-cluster")) / "tests.kubeconfig"
SOON_S = 20


@asynccontextmanager
async def connection(directory: Path, context: str = "dev", file: Path = TESTS) -> AsyncIterator[Cluster]:
    paths = Paths(*[directory] * 4)
    target = kubeconfig.choose([file], context=context, namespace="proj-b")
    async with clusters.connected(target, paths) as cluster:
        yield cluster


@pytest.fixture
def who() -> Identity:
    uid = secrets.token_hex(8)
    return Identity(f"api-{uid[:6]}", uid, "tests")


def anchor(who: Identity, **facts: str) -> dict[str, Any]:
    return manifests.anchor(who, facts)


async def test_a_watch_tells_what_is_there_then_every_change(tmp_path: Path, who: Identity) -> None:
    async with connection(tmp_path) as cluster:
        name = f"paude-{who.name}"
        seen: list[str] = []
        async with aclosing(cluster.watch("ConfigMap", name=name)) as changes:
            with anyio.fail_after(SOON_S):
                async for change in changes:
                    seen.append(change.type)
                    if change.type == "LISTED":
                        await cluster.create(anchor(who))
                    elif change.type == "ADDED":
                        await cluster.merge("ConfigMap", name, {"data": {"a": "b"}})
                    elif change.type == "MODIFIED":
                        await cluster.delete("ConfigMap", name)
                    else:
                        break
    assert seen == ["LISTED", "ADDED", "MODIFIED", "DELETED"]


async def test_an_object_is_made_once_then_brought_up_to_date_and_removed_by_its_session_only(
    tmp_path: Path, who: Identity
) -> None:
    name = f"paude-{who.name}"
    stranger = Identity(who.name, secrets.token_hex(8), "tests")
    async with connection(tmp_path) as cluster:
        first = await ownership.ensure(cluster, anchor(who, agent="a"))
        again = await ownership.ensure(cluster, anchor(who, agent="b"))
        assert (first.created, again.created) == (True, False)
        assert again.object["metadata"]["uid"] == first.object["metadata"]["uid"]
        assert again.object["metadata"]["annotations"]["paude.io/agent"] == "b"
        with pytest.raises(NameTaken):
            await ownership.ensure(cluster, anchor(stranger))
        assert not await ownership.remove(cluster, "ConfigMap", name, stranger.uid)
        assert await cluster.get("ConfigMap", name) is not None
        assert await ownership.remove(cluster, "ConfigMap", name, who.uid)
        assert not await ownership.remove(cluster, "ConfigMap", name, who.uid)


async def test_gone_means_the_very_object_whoever_has_its_name_by_then(tmp_path: Path, who: Identity) -> None:
    name = f"paude-{who.name}"
    async with connection(tmp_path) as cluster:
        first = await cluster.create(anchor(who))
        uid = first["metadata"]["uid"]
        assert not await ownership.gone(cluster, "ConfigMap", name, uid, within_s=0.5)
        await cluster.delete("ConfigMap", name, uid=uid)
        second = await cluster.create(anchor(who))
        assert await ownership.gone(cluster, "ConfigMap", name, uid, within_s=SOON_S)
        assert not await ownership.gone(cluster, "ConfigMap", name, second["metadata"]["uid"], within_s=0.5)
        await cluster.delete("ConfigMap", name)


async def test_an_object_of_another_uid_is_not_deleted(tmp_path: Path, who: Identity) -> None:
    name = f"paude-{who.name}"
    async with connection(tmp_path) as cluster:
        await cluster.create(anchor(who))
        with pytest.raises(Exception, match="cannot delete"):
            await cluster.delete("ConfigMap", name, uid="00000000-0000-0000-0000-000000000000")
        assert await cluster.delete("ConfigMap", name)


async def test_what_is_shared_is_not_taken_from_somebody_else(tmp_path: Path, who: Identity) -> None:
    name = f"paude-{who.name}"
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}
    async with connection(tmp_path) as cluster:
        await cluster.create(foreign)
        with pytest.raises(NameTaken, match=name):
            await ownership.ensure_shared(cluster, anchor(who))
        kept = await cluster.get("ConfigMap", name)
        assert kept is not None
        assert kept["data"] == {"a": "b"}
        await cluster.delete("ConfigMap", name)


async def test_missing_rights_are_named_for_lists_watches_and_makes(tmp_path: Path, who: Identity) -> None:
    async with connection(tmp_path, "nobody") as cluster:
        with pytest.raises(Forbidden, match="you may not create configmaps"):
            await cluster.create(anchor(who))
        with pytest.raises(Forbidden, match="you may not list pods"):
            await cluster.list("Pod")
        with anyio.fail_after(SOON_S), pytest.raises(Forbidden, match="you may not list pods"):
            async for _ in cluster.watch("Pod"):
                pass


async def test_a_denial_by_pod_security_is_told_as_one(tmp_path: Path, who: Identity) -> None:
    spec = {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": who.name}, "spec": spec}
    async with connection(tmp_path) as cluster:
        with pytest.raises(AdmissionDenied, match="privileged") as caught:
            await cluster.create(pod)
    assert caught.value.exit_code == 6
    assert "violates PodSecurity" in caught.value.why


async def token_of(cluster: Cluster, seconds: int) -> str:
    """A token of the namespace's default account."""
    made = await cluster.request(
        "POST",
        doing="get a token",
        namespace="proj-b",
        url="serviceaccounts/default/token",
        json={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        },
    )
    return str(made["status"]["token"])


async def test_a_refused_token_is_an_expired_login_and_a_new_one_in_the_file_is_found(tmp_path: Path) -> None:
    """As after `oc login`: the file changes while the process goes on."""
    with pytest.raises(LoginExpired):
        async with connection(tmp_path, "expired"):
            pytest.fail("the token was accepted")
    async with connection(tmp_path, "dev") as dev:
        tokens = [await token_of(dev, seconds) for seconds in (600, 700)]
    file = tmp_path / "kubeconfig"
    here = f"clusters: [{{name: c, cluster: {{server: '{dev.target.server}', certificate-authority: '{ca()}'}}}}]"
    context = "contexts: [{name: x, context: {cluster: c, user: me}}]"

    def log_in(with_token: str) -> None:
        file.write_text(f"{here}\n{context}\nusers: [{{name: me, user: {{token: {with_token}}}}}]\n")

    log_in(tokens[0])
    async with connection(tmp_path, "x", file) as cluster:
        expired = {"Authorization": "Bearer expired-meanwhile"}
        cluster._login._made = replace(await cluster.access(), headers=expired)
        log_in(tokens[1])
        # An account without rights is known all the same: Forbidden, and no longer a matter of logging in.
        with pytest.raises(Forbidden):
            await cluster.list("Pod")
        assert (await cluster.access()).headers["Authorization"] == f"Bearer {tokens[1]}"


def ca() -> str:
    return str(TESTS.parent / "pki" / "ca.crt")


async def test_no_key_is_left_in_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    async with connection(runtime) as cluster:
        await cluster.get("ConfigMap", "nothing")
    assert list(temporary.iterdir()) == []
    assert list(runtime.iterdir()) == []
