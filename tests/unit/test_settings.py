"""Settings: which place wins, what is refused, what is warned about, and that the documents are the table.

`PAUDE_UPDATE_DOCS=1 pytest tests/unit/test_settings.py` writes the documents anew.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import SettingsError
from paude.settings import Paths, Settings, Settled, agreed, read, remembered, shown, table
from paude.settings.kinds import DURATION, LABELS, QUANTITY, TOLERATIONS, Toleration
from paude.settings.reading import by_name, of_environment, of_file
from paude.settings.table import Lifecycle

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs/configuration.md"
SCHEMA = CHECKOUT / "src/paude/settings/schema.json"
MARK = "<!-- settings -->\n"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    for variable in list(os.environ):
        if variable.startswith("PAUDE_"):
            monkeypatch.delenv(variable)
    made = Paths(tmp_path / "state", tmp_path / "run", tmp_path / "config", tmp_path / "cache")
    made.config.mkdir()
    return made


def own(paths: Paths, words: object) -> None:
    paths.user_settings.write_text(json.dumps(words))


def workspace(tmp_path: Path, words: object) -> Path:
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work/paude.json").write_text(json.dumps(words))
    return tmp_path / "work"


def origin(settled: Settled, name: str) -> str:
    return next(one.origin for one in settled.found if one.setting.name == name)


def test_each_place_wins_over_those_below_it(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "resources.limits.cpu"

    def settled(flags: dict[str, object] | None = None) -> tuple[str, str]:
        found = read(paths, tmp_path / "work", flags)
        return found.values.resources.limits.cpu, origin(found, name)

    assert settled() == ("4", "")
    own(paths, {"resources": {"limits": {"cpu": "5"}}})
    assert settled() == ("5", str(paths.user_settings))
    workspace(tmp_path, {"resources": {"limits": {"cpu": "6"}}})
    assert settled() == ("6", "paude.json")
    monkeypatch.setenv("PAUDE_RESOURCES_LIMITS_CPU", "7")
    assert settled() == ("7", "PAUDE_RESOURCES_LIMITS_CPU")
    assert settled({name: "8"}) == ("8", "--cpu")
    assert settled({name: None}) == ("7", "PAUDE_RESOURCES_LIMITS_CPU")


def test_hosts_of_all_places_are_put_together_once(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(paths, {"egress": {"allow": ["mine.test", "both.test"]}})
    workspace(tmp_path, {"egress": {"allow": ["both.test", "theirs.test"]}})
    monkeypatch.setenv("PAUDE_EGRESS_ALLOW", "env.test")

    found = read(paths, tmp_path / "work", {"egress.allow": ["flag.test"]})

    assert found.values.egress.allow == ("flag.test", "env.test", "both.test", "theirs.test", "mine.test")
    assert origin(found, "egress.allow") == f"--allow, PAUDE_EGRESS_ALLOW, paude.json, {paths.user_settings}"
    assert found.typed == {"egress.allow": ["flag.test"]}


def test_what_a_workspace_brings_that_lets_more_out_is_told(paths: Paths, tmp_path: Path) -> None:
    there = workspace(tmp_path, {"egress": {"allow": ["x.test"]}, "namespace": "n", "storage": {"size": "1Gi"}})
    own(paths, {"registry": "mine.test/me"})

    found = read(paths, there)

    assert found.brought == {"egress.allow": ["x.test"], "namespace": "n"}


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("lifecycle", {"keep": True, "idle_timeout": "99h", "max_age": 0}),
        ("pod", {"labels": {"app": "db"}, "node_selector": {"a": "b"}, "tolerations": ["x"], "runtime_class": "runc"}),
        ("resources", {"gpu": 8, "gpu_resource": "example.com/key"}),
        ("build", {"containerfile": "C", "context": ".", "target": "t", "args": {"A": "1"}}),
    ],
)
def test_how_long_a_session_lives_and_what_it_runs_beside_is_not_a_workspaces_to_say(
    group: str, values: dict[str, object], paths: Paths, tmp_path: Path
) -> None:
    found = read(paths, workspace(tmp_path, {group: values}))

    assert found.brought == {f"{group}.{name}": value for name, value in values.items()}
    assert agreed.changed(paths, tmp_path, found.brought) == found.brought


def test_what_is_the_users_alone_is_not_taken_from_a_workspace(paths: Paths, tmp_path: Path) -> None:
    there = workspace(tmp_path, {"kubeconfig": "theirs", "terminal": {"clipboard": True}})

    found = read(paths, there)

    assert (found.values.kubeconfig, found.values.terminal.clipboard) == ("", False)
    assert [warning.split()[1] for warning in found.warnings] == ["kubeconfig", "terminal.clipboard"]


def test_a_file_that_a_file_names_lies_beside_it(paths: Paths) -> None:
    own(paths, {"registry_ca": "ca.pem", "kubeconfig": "/etc/kube"})

    found = read(paths, None).values

    assert (found.registry_ca, found.kubeconfig) == (str(paths.config / "ca.pem"), "/etc/kube")


def test_backend_may_hold_what_belongs_to_it(paths: Paths, tmp_path: Path) -> None:
    words = {"backend": {"type": "openshift", "resources": {"limits": {"memory": "1Gi"}}, "namespace": "n"}}

    found = read(paths, workspace(tmp_path, words)).values

    assert (found.backend, found.resources.limits.memory, found.namespace) == ("openshift", "1Gi", "n")


@pytest.mark.parametrize(
    ("words", "name", "nearest"),
    [
        ({"resorces": {"limits": {"cpu": 1}}}, "resorces", "resources"),
        ({"resources": {"limit": {"cpu": 1}}}, "resources.limit", "resources.limits"),
        ({"storage": {"sise": "1Gi"}}, "storage.sise", "storage.size"),
        ({"nmespace": "x"}, "nmespace", "namespace"),
        ({"allow": ["x.test"]}, "allow", "egress.allow"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(
    words: dict[str, object], name: str, nearest: str, paths: Paths, tmp_path: Path
) -> None:
    (warning,) = read(paths, workspace(tmp_path, words)).warnings
    assert warning == f"paude.json: there is no setting {name!r}; did you mean {nearest}?"


def test_a_name_like_no_other_is_told_alone(paths: Paths, tmp_path: Path) -> None:
    assert read(paths, workspace(tmp_path, {"zzzzzzzz": 1})).warnings == ("paude.json: there is no setting 'zzzzzzzz'",)


def test_a_variable_that_is_nearly_one_is_told() -> None:
    layer = of_environment({"PAUDE_REGISTY": "x", "PAUDE_TEST_REGISTRY": "y", "PATH": "z"})
    assert layer.warnings == ("the variable PAUDE_REGISTY means nothing; did you mean PAUDE_REGISTRY?",)
    assert layer.values == {}


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "7", '"x"', "\xff", "[" * 100_000, '{"a": ' * 50_000, " " * (1 << 20) + "{}", ""],
    ids=["cut", "list", "number", "string", "latin-1", "deep list", "deep object", "too long", "empty"],
)
def test_what_is_no_settings_file_is_refused_with_its_name(content: str, paths: Paths) -> None:
    paths.user_settings.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"config\.json"):
        read(paths, None)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ({"backend": "docker"}, "backend"),
        ({"namespace": 5}, "namespace"),
        ({"namespace": "a\nb"}, "namespace"),
        ({"resources": {"limits": {"cpu": "4 cores"}}}, "resources.limits.cpu"),
        ({"resources": {"limits": {"cpu": True}}}, "resources.limits.cpu"),
        ({"resources": {"gpu": -1}}, "resources.gpu"),
        ({"resources": 4}, "resources"),
        ({"platform": "windows/amd64"}, "platform"),
        ({"egress": {"allow": "x.test"}}, "egress.allow"),
        ({"pod": {"labels": {"paude.io/session": "x"}}}, "pod.labels"),
        ({"pod": {"labels": {"a b": "x"}}}, "pod.labels"),
        ({"pod": {"tolerations": ["x:Never"]}}, "pod.tolerations"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    words: dict[str, object], name: str, paths: Paths, tmp_path: Path
) -> None:
    there = workspace(tmp_path, words)
    if name == "resources":  # a group is no setting
        assert read(paths, there).warnings
        return
    with pytest.raises(SettingsError, match=rf"paude\.json: {name} is "):
        read(paths, there)


def test_a_variable_that_makes_no_sense_is_refused() -> None:
    for variable, text in {
        "PAUDE_CLIPBOARD": "maybe",
        "PAUDE_RESOURCES_GPU": "two",
        "PAUDE_BUILD_NETWORK": "x",
    }.items():
        with pytest.raises(SettingsError, match=variable):
            of_environment({variable: text})


def test_every_default_and_every_value_survives_the_way_through_a_file(tmp_path: Path) -> None:
    words: dict[str, Any] = {}
    for row in table.rows():
        *groups, last = row.name.split(".")
        place = words
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = row.default
    file = tmp_path / "all.json"
    file.write_text(json.dumps(words))

    layer = of_file(file, file, personal=True)

    assert layer.warnings == ()
    assert table.values_of({name: value for name, (value, _) in layer.values.items()}) == Settings()
    assert set(layer.values) == set(by_name())


def test_no_two_settings_share_a_variable_or_a_flag() -> None:
    variables = [row.variable for row in table.rows()]
    flags = [row.flag for row in table.rows() if row.flag]
    assert len(set(variables)) == len(variables)
    assert len(set(flags)) == len(flags)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_durations(hours: int, minutes: int, seconds: int) -> None:
    assert DURATION.parse(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
    assert DURATION.parse(DURATION.from_text(str(seconds))) == seconds


@pytest.mark.parametrize("bad", ["", "4", "h", "4d", "1m1h", -1, True, float("nan"), None, [4]])
def test_what_is_no_duration(bad: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        DURATION.parse(bad)


@given(st.integers(0, 10**6), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"]))
def test_quantities_are_passed_on_as_they_are(number: int, suffix: str) -> None:
    assert QUANTITY.parse(f"{number}{suffix}") == f"{number}{suffix}"
    assert QUANTITY.parse(number) == str(number)


@pytest.mark.parametrize("bad", ["", "Gi", "1gi", "1 Gi", "-1", "1e3x", ".5", True, None, ["1"]])
def test_what_is_no_quantity(bad: object) -> None:
    with pytest.raises(ValueError, match="quantity"):
        QUANTITY.parse(bad)


def test_what_was_agreed_to_is_not_asked_again_until_it_changes(paths: Paths, tmp_path: Path) -> None:
    first = {"egress.allow": ["a.test"], "namespace": "n"}
    assert agreed.changed(paths, tmp_path, first) == first
    agreed.agree(paths, tmp_path, first)
    assert agreed.changed(paths, tmp_path, first) == {}
    assert agreed.changed(paths, tmp_path / "other", first) == first
    more = {"egress.allow": ["a.test", "b.test"], "namespace": "n"}
    assert agreed.changed(paths, tmp_path, more) == {"egress.allow": ["a.test", "b.test"]}
    agreed.agree(paths, tmp_path, {})
    assert agreed.changed(paths, tmp_path, first) == first


def test_tolerations_and_labels_as_kubectl_writes_them() -> None:
    assert TOLERATIONS.parse(["a=b:NoSchedule", "c:NoExecute", "d"]) == (
        Toleration("a", "b", "NoSchedule"),
        Toleration("c", "", "NoExecute"),
        Toleration("d"),
    )
    assert LABELS.parse(LABELS.from_text("team=blue,example.com/cost=7")) == (
        ("team", "blue"),
        ("example.com/cost", "7"),
    )


def _fields(group: type[Any]) -> set[str]:
    names = set()
    for each in dataclasses.fields(group):
        inner = each.default_factory
        names |= _fields(inner) if isinstance(inner, type) and dataclasses.is_dataclass(inner) else {each.name}
    return names


def test_no_setting_is_only_there_to_be_set() -> None:
    source = CHECKOUT / "src/paude"
    text = "".join(p.read_text() for p in source.rglob("*.py") if p != source / "settings/table.py")
    # The limits of the life cycle are told to the pod by a method of their own class.
    told = {"idle_timeout", "max_age", "warning", "keep"}
    assert {name for name in _fields(Settings) if not re.search(rf"\.{name}\b", text)} - told == set()


def _updated(file: Path, wanted: str) -> str:
    if os.environ.get("PAUDE_UPDATE_DOCS"):
        file.write_text(wanted)
    return file.read_text()


def test_the_schema_that_is_shipped_is_the_table() -> None:
    wanted = json.dumps(shown.schema(), indent=1) + "\n"
    assert _updated(SCHEMA, wanted) == wanted


def test_the_document_is_the_table() -> None:
    head, mark, _ = DOCUMENT.read_text().partition(MARK)
    assert mark
    wanted = head + MARK + shown.document()
    assert _updated(DOCUMENT, wanted) == wanted


def test_the_example_of_the_document_is_understood(paths: Paths, tmp_path: Path) -> None:
    example = DOCUMENT.read_text().partition("```json\n")[2].partition("```")[0]
    found = read(paths, workspace(tmp_path, json.loads(example)))
    assert found.warnings == ()
    assert found.values.storage.storage_class == "fast"


def test_the_pod_is_told_its_limits_in_seconds_and_nothing_when_it_is_kept() -> None:
    assert Lifecycle().pod_environment == {
        "PAUDE_IDLE_TIMEOUT": "14400.000s",
        "PAUDE_MAX_AGE": "86400.000s",
        "PAUDE_LIFE_WARNING": "600.000s",
    }
    assert Lifecycle(keep=True).pod_environment == Lifecycle(idle_timeout=0, max_age=0).pod_environment == {}
    assert "PAUDE_MAX_AGE" not in Lifecycle(max_age=0).pod_environment


def test_what_is_remembered_of_the_settings_counts_until_something_else_is_set(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.state.mkdir()

    def say(clipboard: object) -> None:
        paths.user_settings.write_text(json.dumps({"terminal": {"clipboard": clipboard}}))

    def asked() -> list[bool]:
        return [remembered.clipboard(paths) for _ in range(2)]

    assert asked() == [False, False]
    say(True)
    assert asked() == [True, True]
    monkeypatch.setenv("PAUDE_CLIPBOARD", "0")
    assert asked() == [False, False]
    say("perhaps")
    for _ in range(2):  # what is wrong is told each time
        with pytest.raises(SettingsError, match="perhaps"):
            asked()
    say(True)
    monkeypatch.delenv("PAUDE_CLIPBOARD")
    assert asked() == [True, True]
    paths.user_settings.unlink()
    paths.user_settings.mkdir()
    with pytest.raises(SettingsError, match="is no file"):
        asked()


def test_what_is_remembered_of_the_settings_loads_nothing(paths: Paths) -> None:
    paths.state.mkdir()
    program = f"""
import sys
from pathlib import Path
from paude.settings import Paths, remembered
print(remembered.clipboard(Paths(*map(Path, {[*map(str, (paths.state, paths.runtime, paths.config, paths.cache))]!r}))))
print("paude.settings.table" in sys.modules)
"""
    said = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["False\nTrue\n", "False\nFalse\n"]
