"""What doctor and setup conclude from what they see, and the Role that they print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from paude.backends.kubernetes import rights
from paude.backends.kubernetes.surroundings import Room, Storage
from paude.plans.doctor import quota_checks, shared, storage_check, tunnel_check
from paude.plans.request import backend_of
from paude.plans.setup import own_namespace, shared_or_unknown
from paude.settings import Paths, Settings, table
from paude.settings.table import Pod, Resources
from paude.settings.write import write
from paude.tunnel.passage import Passage, Verdict


@pytest.mark.parametrize(
    ("found", "wanted", "result"),
    [
        (Storage(seen=False), "", "ok"),
        (Storage(seen=False), "fast", "ok"),
        (Storage(True, ("fast", "slow"), "slow"), "", "ok"),
        (Storage(True, ("fast", "slow")), "", "failed"),
        (Storage(True, ("fast", "slow")), "fast", "ok"),
        (Storage(True, ("slow",), "slow"), "fast", "failed"),
        (Storage(True), "", "failed"),
    ],
)
def test_a_claim_needs_a_class_that_is_there(found: Storage, wanted: str, result: str) -> None:
    assert storage_check(found, wanted).result == result


@pytest.mark.parametrize(
    ("verdict", "result"), [(Verdict.OPEN, "ok"), (Verdict.CLOSED, "failed"), (Verdict.UNKNOWN, "warning")]
)
def test_a_network_without_websockets_is_told_with_the_other_way(verdict: Verdict, result: str) -> None:
    check = tunnel_check(Passage(verdict, "the answer is 502"))
    assert check.result == result
    assert ("PAUDE_TUNNEL=kubectl" in check.remedy) is (result != "ok")
    assert ("the answer is 502" in check.seen) is (result != "ok")


def test_a_session_that_does_not_fit_is_told_what_would() -> None:
    rooms = [
        Room("small", "requests.cpu", "1500m", "600m"),
        Room("small", "requests.memory", "8Gi", "1Gi"),
        Room("small", "limits.memory", "8Gi", "1Gi"),
        Room("small", "requests.storage", "100Gi", "0"),
    ]
    found = quota_checks(rooms, Settings())
    assert [(one.result, one.seen) for one in found] == [
        ("failed", "small leaves 900m of requests.cpu; a session asks for 1"),
        ("failed", "small leaves 7168Mi of limits.memory; a session asks for 8Gi"),
    ]
    assert "--cpu-request" in found[0].remedy
    less = table.values_of({"resources.requests.cpu": "900m", "resources.limits.memory": "7Gi"})
    assert isinstance(less.resources, Resources)
    assert [one.result for one in quota_checks(rooms, less)] == ["ok"]


def test_a_namespace_that_others_use_is_told() -> None:
    assert shared("n", None) == shared("n", ()) == shared("n", ("me",)) == []
    assert "me, you have a role in n" in shared("n", ("me", "you"))[0].seen
    assert shared_or_unknown(own_namespace(), None) == []
    assert "can read the Secrets" in shared_or_unknown("team", None)[0].seen


def test_a_cluster_is_meant_where_something_of_it_is_set() -> None:
    assert backend_of(Settings(namespace="n")) == backend_of(Settings(backend="openshift")) == "kubernetes"
    assert backend_of(Settings(backend="podman", namespace="n")) == "podman"


def test_a_runtime_class_is_of_a_cluster_for_doctor_as_for_a_start() -> None:
    assert backend_of(Settings(pod=Pod(runtime_class="gvisor"))) == "kubernetes"


@pytest.mark.parametrize(
    ("who", "subject"),
    [
        ("dev", {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"}),
        ("system:serviceaccount:ns:bot", {"kind": "ServiceAccount", "name": "bot", "namespace": "ns"}),
        ("a: b\n- c", {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "a: b\n- c"}),
    ],
)
def test_the_role_is_what_was_asked_about_and_is_bound_to_the_user(who: str, subject: dict[str, str]) -> None:
    role, binding = yaml.safe_load_all(rights.role(rights.NEEDED, "ns", who))
    assert {(rule["apiGroups"][0], rule["resources"][0]): tuple(rule["verbs"]) for rule in role["rules"]} == {
        (rule.group, rule.resource): rule.verbs for rule in rights.NEEDED
    }
    assert binding["subjects"] == [subject]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", binding["metadata"]["name"])
    assert not any("*" in part for rule in role["rules"] for parts in rule.values() for part in parts)


def test_the_users_file_keeps_what_was_written_there(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, tmp_path / "config", tmp_path)
    assert write(paths, {"backend": "kubernetes", "storage.class": "fast"})
    assert not write(paths, {"storage.class": "fast"})
    words = json.loads(paths.user_settings.read_text())
    paths.user_settings.write_text(json.dumps({**words, "egress": {"allow": ["a.test"]}, "future": 1}))
    assert write(paths, {"namespace": "n"})
    assert json.loads(paths.user_settings.read_text()) == {
        "backend": "kubernetes",
        "storage": {"class": "fast"},
        "egress": {"allow": ["a.test"]},
        "future": 1,
        "namespace": "n",
    }
    assert paths.user_settings.stat().st_mode & 0o777 == 0o600
    paths.user_settings.write_text('{"backend": {"type": "openshift", "namespace": "old"}}')
    assert write(paths, {"namespace": "new"})
    assert json.loads(paths.user_settings.read_text()) == {"namespace": "new", "backend": "openshift"}
