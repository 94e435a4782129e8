"""The commands of the documents, run as they are written, in one session; and what programs read of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import typed
from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

CHECKOUT = Path(__file__).parents[2]
HOST, OTHER = "allowed.test", "other.test"


@dataclass(frozen=True)
class Session:
    """A session as getting-started makes it, in a git repository."""

    laptop: Laptop
    name: str
    workspace: Path

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line typed into a shell in the workspace."""
        return typed.types(self.laptop, line, self.workspace)

    def json(self, *words: str, code: int | None = 0) -> Any:
        return json.loads(self.laptop.paude(*words, "-o", "json", code=code).stdout)

    def does(self, line: str) -> None:
        """What the agent's hooks would leave."""
        self.laptop.inside(self.name, f"echo '{line}' > /run/paude/n && mv /run/paude/n /run/paude/agent-state")


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Session:
    workspace = shared_laptop.workspace("my-project")
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "begin"]):
        who = ["-c", "user.name=dev", "-c", "user.email=dev@example.test"]
        subprocess.run(["git", "-C", workspace, *who, *words], check=True)
    return Session(shared_laptop, shared_laptop.start(workspace, "--allow", HOST), workspace)


@pytest.mark.parametrize("line", typed.lines("docs/getting-started.md", "At work"))
def test_what_getting_started_says_can_be_typed(session: Session, line: str) -> None:
    done = session.shell(line.replace("docs.example.com", OTHER))
    assert done.returncode == 0, done.stderr


def test_what_output_says_can_be_typed(session: Session) -> None:
    told = [session.shell(line) for line in typed.lines("docs/output.md", "")]
    assert [done.stderr for done in told if done.returncode] == []
    assert session.name in told[0].stdout.split()


def test_kubectl_finds_its_plug_in(session: Session) -> None:
    assert session.name in session.shell("kubectl paude sessions -o name").stdout.split()


# --- for programs


def documented(verb: str) -> set[str]:
    text = (CHECKOUT / "docs/output.md").read_text()
    heading = re.search(rf"^## .*{verb}.*$", text, re.MULTILINE)
    assert heading is not None
    section = text[heading.end() :].partition("\n## ")[0]
    return {
        field for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for field in re.findall(r"`([^`]+)`", row)
    }


def leaves(value: Any, name: str = "") -> Iterator[str]:
    """The names of a document's fields, lists as `name[]`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, f"{name}[]")
    else:
        yield f"{name}[]" if value == [] else name


@pytest.mark.parametrize(
    ("verb", "passed_over"),
    [
        ("sessions", ""),
        ("status", "gate.fence.|sync."),
        ("agent status", ""),
        ("egress show", ""),
        ("blocked", ""),
        ("verify", ""),
        ("sync status", ""),
        ("sync conflicts", ""),
        ("sync verify", ""),
        ("review", ""),
        ("supervisor status", "sessions."),
    ],
)
def test_every_field_that_is_printed_is_documented(session: Session, verb: str, passed_over: str) -> None:
    words = verb.split()
    found = {
        one for one in leaves(session.json(*words)) if not (passed_over and re.match(passed_over, one))
    }  # an empty list has no fields
    known = documented(f"paude {verb}")
    unknown = {one for one in found - known if not any(field.startswith(one) for field in known)}
    assert unknown == set()
    assert yaml.safe_load(session.laptop.paude(*words, "-o", "yaml").stdout).keys() == session.json(*words).keys()


@pytest.mark.parametrize("verb", ["sessions", "egress show"])
def test_names_are_what_other_commands_take(session: Session, verb: str) -> None:
    names = session.laptop.paude(*verb.split(), "-o", "name").stdout.splitlines()
    assert names
    assert all(" " not in name for name in names)


# --- the whole session as manifests


def test_the_emitted_manifests_are_the_session(session: Session, kubectl: Admin) -> None:
    said = session.laptop.paude("start", str(session.workspace), "--agent", "shell", "--emit-yaml").stdout
    objects = list(yaml.safe_load_all(said))
    emitted = {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in objects}
    there = {name.replace(".apps", "").replace(".networking.k8s.io", "") for name in kubectl.names()}
    mine = {name for name in there if session.name in name and not name.startswith("pod/")}
    # The pull secret is made where the namespace has none, which only the cluster knows.
    assert {name for name in emitted if session.name in name} == mine - {f"secret/paude-{session.name}-pull"}
    assert "networkpolicy/paude-baseline" in emitted
    assert {name for name in emitted if "paude-proxy-" in name} <= there

    spec = next(one for one in objects if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    running = json.loads(kubectl("get", "statefulset", f"paude-{session.name}", "-o", "json"))["spec"]["template"][
        "spec"
    ]
    for kind in ("initContainers", "containers"):
        for ours, theirs in zip(spec[kind], running[kind], strict=True):
            assert ours["command"] == theirs["command"]
            assert ours["volumeMounts"] == theirs["volumeMounts"]
            assert theirs["image"].startswith(ours["image"].rpartition(":")[0])


def test_the_emitted_manifests_hold_no_secret_and_pass_the_cluster(
    session: Session, cluster_env: dict[str, str]
) -> None:
    words = ("start", str(session.workspace), "--agent", "shell", "--emit-yaml")
    said = session.laptop.paude(*words).stdout
    keys = [file.read_text() for file in (session.laptop.state / "paude/sessions" / session.name).glob("id_*")]
    assert keys
    assert not any(line in said for key in keys for line in key.splitlines() if len(line) > 20)
    secrets = [one for one in yaml.safe_load_all(said) if one["kind"] == "Secret"]
    assert secrets
    assert {value for one in secrets for value in one["stringData"].values()} == {"(redacted)"}
    # Another name, so that nothing of it is there: the API server judges each as if it were to be made.
    fresh = said.replace(session.name, "never-made")
    done = subprocess.run(
        ["kubectl", "--kubeconfig", session.laptop.env["KUBECONFIG"], "apply", "--dry-run=server", "-f", "-"],
        input=fresh, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("server dry run") == len(list(yaml.safe_load_all(said)))


# --- what the agent does


def test_an_agent_that_does_not_tell_is_said_not_to(session: Session) -> None:
    assert session.json("agent", "status")["doing"] == "unknown"
    assert "does not tell" in session.laptop.paude("agent", "wait", code=2).stderr


def test_what_the_agent_tells_is_shown_and_waited_for(session: Session) -> None:
    record = session.laptop.state / "paude/sessions" / session.name / "record.json"
    before = record.read_text()
    record.write_text(before.replace('"shell"', '"claude"'))
    try:
        session.does("working")
        assert session.json("agent", "status")["doing"] == "working"
        waiting = session.laptop.popen("agent", "wait", session.name, "--command", "sh -c 'echo $PAUDE_MESSAGE > told'")
        session.does("waiting may I; $(touch gone)")
        said, complaint = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, complaint
        assert said == f"{session.name}: waiting: may I; $(touch gone)\n"
        assert (session.laptop.home / "told").read_text() == "may I; $(touch gone)\n"
        assert not (session.laptop.home / "gone").exists()
        session.laptop.inside(session.name, "echo '{\"code\": 3}' > /run/paude/agent-ended")
        assert "has ended with 3" in session.laptop.paude("agent", "wait", session.name, code=10).stderr
    finally:
        record.write_text(before)


# --- last: it ends the session


def test_stop_all_leaves_nothing(session: Session, kubectl: Admin) -> None:
    session.laptop.paude("stop", "--all")
    assert {one for one in kubectl.names() if session.name in one} == set()
    assert session.json("sessions")["sessions"] == [] or session.name not in str(session.json("sessions"))
