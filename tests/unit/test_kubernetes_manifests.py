"""The objects of a session: locked down, labelled, and proof against whatever the words of the user are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes import manifests
from paude.backends.kubernetes.manifests import Identity, PodSpec
from paude.sessions import names
from paude.settings.kinds import Toleration
from paude.settings.table import Pod, Proxy, ProxyLimits, ProxyRequests, Resources, Settings, Storage

LONGEST = "a" * names.LONGEST
ANCHOR = {"metadata": {"name": "paude-x", "uid": "1-2-3"}}
DIGEST = "0123456789ab"
LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")

identities = st.builds(
    Identity,
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,44}[a-z0-9])?", fullmatch=True),
    uid=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    owner=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True),
)


def spec(*, walled: bool = True, assigned: bool = False, name: str = "x", **more: Any) -> PodSpec:
    made = PodSpec(
        identity=Identity(name, "0123456789abcdef", "me"),
        gate_image="r.test/gate:1",
        agent_image="r.test/agent:1",
        command=("bash", "-l"),
        proxy="10.96.1.2" if walled else None,
        allowlist=DIGEST,
        ids_assigned=assigned,
        resources=Resources(),
        environment={},
        pull_secrets=("pull",),
    )
    return replace(made, **more)


def pod_of(made: PodSpec) -> dict[str, Any]:
    template: dict[str, Any] = manifests.stateful_set(made, ANCHOR)["spec"]["template"]["spec"]
    return template


def test_an_emptydir_takes_the_place_of_the_claim_and_has_room_in_the_pod() -> None:
    made = pod_of(spec(storage=Storage(volume="emptydir", size="7Gi")))
    volume = next(one for one in made["volumes"] if one["name"] == "volume")
    assert volume == {"name": "volume", "emptyDir": {"sizeLimit": "7Gi"}}
    assert made["initContainers"][0]["resources"]["limits"]["ephemeral-storage"] == "7Gi"


def test_where_and_how_the_pod_runs_is_as_it_is_set() -> None:
    wanted = Pod(
        runtime_class="gvisor",
        node_selector=(("disk", "ssd"),),
        tolerations=(Toleration("gpu", "yes", "NoSchedule"), Toleration("spot")),
    )
    made = pod_of(spec(pod=wanted, resources=Resources(gpu=2)))
    assert made["runtimeClassName"] == "gvisor"
    assert made["nodeSelector"] == {"disk": "ssd"}
    assert made["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    resources = made["containers"][0]["resources"]
    assert {part["nvidia.com/gpu"] for part in resources.values()} == {"2"}
    assert (resources["requests"]["cpu"], resources["limits"]["memory"]) == ("1", "8Gi")


def test_labels_of_the_user_stand_beside_paudes_and_never_in_their_place() -> None:
    more = (("team", "blue"), ("paude.io/session", "other"))
    made = manifests.labels(Identity("x", "0123456789abcdef", "me", more), "agent")
    assert (made["team"], made["paude.io/session"]) == ("blue", "x")


def proxy_pod(assigned: bool = False) -> dict[str, Any]:
    deployment = manifests.proxy_deployment(DIGEST, "r.test/proxy:1", ids_assigned=assigned, pull_secrets=())
    template: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return template


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in [*pod.get("initContainers", ()), *pod["containers"]]}


def keys_of(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        yield from thing
        for value in thing.values():
            yield from keys_of(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from keys_of(value)


def mounts(pod: dict[str, Any], container: str) -> dict[str, dict[str, Any]]:
    return {m["mountPath"]: m for m in containers(pod)[container]["volumeMounts"]}


# --- identity ---


def test_where_the_cluster_assigns_ids_no_manifest_sets_one() -> None:
    for pod in (pod_of(spec(assigned=True)), proxy_pod(assigned=True)):
        assert {"runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups"}.isdisjoint(
            keys_of(pod)
        )
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_elsewhere_the_ids_are_fixed_and_numeric_and_not_root() -> None:
    for pod in (pod_of(spec()), proxy_pod()):
        context = pod["securityContext"]
        ids = [context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")]
        assert all(type(one) is int and one >= 1000 for one in ids)
        assert context["fsGroupChangePolicy"] == "OnRootMismatch"
        assert context["runAsNonRoot"] is True


@pytest.mark.parametrize("walled", [True, False])
@pytest.mark.parametrize("assigned", [True, False])
def test_every_container_is_locked_down(walled: bool, assigned: bool) -> None:
    for pod in (pod_of(spec(walled=walled, assigned=assigned)), proxy_pod(assigned)):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC", "hostPath", "hostPort", "privileged"}.isdisjoint(keys_of(pod))
        for container in containers(pod).values():
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            for kind in ("requests", "limits"):
                assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}


def test_no_pod_has_a_service_account_token_or_the_addresses_of_other_services() -> None:
    for pod in (pod_of(spec()), pod_of(spec(walled=False)), proxy_pod()):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert "serviceAccountToken" not in set(keys_of(pod))
        assert "projected" not in set(keys_of(pod))


def test_every_emptydir_has_a_size() -> None:
    for pod in (pod_of(spec()), proxy_pod()):
        for volume in pod["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]


# --- volumes and secrets ---


def test_the_agent_sees_parts_of_the_volume_and_the_gate_all_of_it() -> None:
    pod = pod_of(spec())
    agent = {p: m["subPath"] for p, m in mounts(pod, "agent").items() if m["name"] == "volume"}
    assert agent == {"/workspace": "workspace", "/home/paude": "home", "/run/inbox": "inbox"}
    assert mounts(pod, "agent")["/run/inbox"]["readOnly"] is True
    gate = mounts(pod, "gate")["/vol"]
    assert gate["name"] == "volume"
    assert "subPath" not in gate


def test_only_the_gate_can_give_leave() -> None:
    pod = pod_of(spec())
    assert mounts(pod, "agent")["/run/gate"]["readOnly"] is True
    assert mounts(pod, "fence")["/run/gate"]["readOnly"] is True
    assert not mounts(pod, "gate")["/run/gate"].get("readOnly")
    for kind in ("startupProbe", "livenessProbe"):
        assert containers(pod)["agent"][kind]["exec"]["command"] == ["/opt/paude/bin/paude-pod", "has-leave"]


def test_no_container_mounts_the_keys_of_another() -> None:
    pod = pod_of(spec())
    secret = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounted = {
        name: {secret[m["name"]] for m in c["volumeMounts"] if m["name"] in secret}
        for name, c in containers(pod).items()
    }
    assert mounted == {
        "gate": {"paude-x-gate", "paude-x-kept"},
        "fence": set(),
        "agent": {"paude-x-agent", "paude-x-credentials"},
    }


def test_no_writable_directory_is_shared_by_gate_and_agent_but_the_volume() -> None:
    pod = pod_of(spec())

    def writable(name: str) -> set[str]:
        return {m["name"] for m in containers(pod)[name]["volumeMounts"] if not m.get("readOnly")}

    assert writable("gate") & writable("agent") == {"volume"}


# --- the wall ---


def test_a_walled_pod_has_no_names_and_the_label_that_the_baseline_selects() -> None:
    made = spec()
    pod = pod_of(made)
    assert pod["dnsPolicy"] == "None"
    assert pod["dnsConfig"]["nameservers"] == ["127.0.0.1"]
    labels = manifests.stateful_set(made, ANCHOR)["spec"]["template"]["metadata"]["labels"]
    assert labels["paude.io/wall"] == "closed"
    assert labels["paude.io/uses"] == DIGEST


def test_without_a_wall_the_pod_is_not_selected_and_has_no_proxy() -> None:
    made = spec(walled=False)
    pod = pod_of(made)
    assert "dnsPolicy" not in pod
    assert manifests.pod_labels(made)["paude.io/wall"] == "open"
    assert "paude.io/uses" not in manifests.pod_labels(made)
    environment = manifests.agent_environment(made)
    assert not [key for key in environment if "proxy" in key.lower()]
    fence = {e["name"]: e.get("value") for e in containers(pod)["fence"]["env"]}
    assert (fence["PAUDE_FENCE"], fence["PAUDE_PROXY"]) == ("off", "")


def test_what_the_user_sets_in_the_environment_counts() -> None:
    assert manifests.agent_environment(spec(environment={"LANG": "de_DE.UTF-8"}))["LANG"] == "de_DE.UTF-8"


def test_a_broken_pod_is_replaced_by_start_and_not_by_a_rollout() -> None:
    assert manifests.stateful_set(spec(), ANCHOR)["spec"]["updateStrategy"] == {"type": "OnDelete"}


# --- names and labels ---


def objects(made: PodSpec) -> list[dict[str, Any]]:
    who = made.identity
    parts = [manifests.secret(who, part, {"k": b"v"}, ANCHOR) for part in ("gate", "agent", "credentials", "pull")]
    return [
        manifests.anchor(who, {"workspace": "/x"}),
        manifests.volume_claim(who, "1Gi", None),
        *parts,
        manifests.proxy_service(who, made.allowlist, ANCHOR),
        manifests.stateful_set(made, ANCHOR),
    ]


def shared(made: PodSpec) -> list[dict[str, Any]]:
    return [
        manifests.proxy_settings(made.allowlist, "", ""),
        manifests.proxy_deployment(made.allowlist, "i", ids_assigned=False, pull_secrets=()),
    ]


def test_the_longest_session_name_makes_names_that_kubernetes_takes() -> None:
    made = spec(name=LONGEST)
    for obj in [*objects(made), *shared(made)]:
        # Secrets, claims and the like take 253; the names of these become names of hosts or values of labels.
        longest = 63 if obj["kind"] in {"Service", "StatefulSet", "Deployment"} else 253
        name = obj["metadata"]["name"]
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= longest
    # The label controller-revision-hash of a StatefulSet's pod is NAME-HASH, ten characters.
    assert len(manifests.resource_name(LONGEST)) + 11 <= 63


@given(identities)
def test_every_object_of_a_session_says_whose_it_is_in_valid_labels(who: Identity) -> None:
    made = replace(spec(), identity=who)
    for obj in objects(made):
        labels = obj["metadata"]["labels"]
        assert labels["paude.io/session-uid"] == who.uid
        assert labels["paude.io/session"] == who.name
        assert labels["app.kubernetes.io/managed-by"] == "paude"
    for obj in [*objects(made), *shared(made)]:
        template = (obj.get("spec") or {}).get("template") or {"metadata": {"labels": {}}}
        for key, value in [*obj["metadata"]["labels"].items(), *template["metadata"]["labels"].items()]:
            prefix, _, name = key.rpartition("/")
            assert LABEL_NAME.fullmatch(name)
            assert re.fullmatch(r"[a-z0-9.-]+", prefix)
            assert LABEL_VALUE.fullmatch(value), (key, value)


def test_all_but_the_claim_goes_with_the_anchor() -> None:
    for obj in objects(spec()):
        owners = [owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())]
        expected = [] if obj["kind"] in {"PersistentVolumeClaim", "ConfigMap"} else ["1-2-3"]
        assert owners == expected
        assert "blockOwnerDeletion" not in set(keys_of(obj))


def test_what_sessions_share_belongs_to_none_of_them() -> None:
    for obj in shared(spec()):
        assert "paude.io/session-uid" not in obj["metadata"]["labels"]
        assert "ownerReferences" not in obj["metadata"]


@given(st.text(), st.lists(st.text(), max_size=4), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_the_words_of_the_user_are_values_and_nothing_else(
    workspace: str, command: list[str], environment: dict[str, str]
) -> None:
    made = spec(command=tuple(command), environment=environment)
    anchor = manifests.anchor(made.identity, {"workspace": workspace})
    assert json.loads(json.dumps(anchor))["metadata"]["annotations"]["paude.io/workspace"] == workspace
    assert set(anchor["metadata"]["labels"]) == set(manifests.labels(made.identity, "anchor"))
    again = json.loads(json.dumps(manifests.stateful_set(made, ANCHOR)))
    agent = again["spec"]["template"]["spec"]["containers"][0]
    assert agent["command"] == ["/opt/paude/bin/paude-pod", "agent", "--", *command]
    given_on = {e["name"]: e["value"] for e in agent["env"]}
    assert all(given_on[key] == value for key, value in environment.items())
    plain = json.loads(json.dumps(manifests.stateful_set(spec(), ANCHOR)))
    agent["command"] = agent["env"] = None
    plain_agent = plain["spec"]["template"]["spec"]["containers"][0]
    plain_agent["command"] = plain_agent["env"] = None
    assert again == plain


def test_manifests_are_plain_data() -> None:
    for obj in [*objects(spec()), *shared(spec())]:
        assert yaml.safe_load(yaml.safe_dump(obj)) == obj


def test_a_proxy_that_takes_anothers_place_is_made_with_what_that_one_was_set_to() -> None:
    tolerations = (Toleration("gpu", "yes", "NoSchedule"), Toleration("spot"))
    proxy = Proxy(ProxyRequests("100m", "200Mi"), ProxyLimits("3", "1Gi"))
    for settings in (Settings(), Settings(proxy=proxy, pod=Pod(tolerations=tolerations))):
        made = manifests.proxy_deployment("1", "i", ids_assigned=True, pull_secrets=(), settings=settings)
        assert manifests.proxy_settings_of(made) == settings
