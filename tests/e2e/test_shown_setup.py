"""`paude setup` and `paude doctor` as a user without rights meets them, until a session runs with the printed Role."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

SPACE = "setup-exact"
OURS = ("PAUDE_BACKEND", "PAUDE_REGISTRY", "PAUDE_REGISTRY_CA")


@pytest.fixture
def newcomer(laptop: Laptop, kubectl: Admin, tmp_path: Path) -> Iterator[Laptop]:
    """A laptop whose user is new: a login and nothing else, no rights and no settings."""
    kubectl("create", "namespace", SPACE)
    kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "serviceaccount", "newcomer", namespace=SPACE)
    token = kubectl("create", "token", "newcomer", "--duration", "1h", namespace=SPACE).strip()
    config = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
    config["users"] = [{"name": "newcomer", "user": {"token": token}}]
    config["contexts"] = [{"name": "c", "context": {"cluster": config["clusters"][0]["name"], "user": "newcomer"}}]
    config["current-context"] = "c"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    kept = {key: value for key, value in laptop.env.items() if key not in OURS}
    own = {"KUBECONFIG": str(file), "XDG_CONFIG_HOME": str(laptop.home / ".c")}
    made = Laptop(laptop.home, laptop.state, {**kept, **own})
    yield made
    made.paude("stop", "--all", "--discard", code=None)
    kubectl("delete", "namespace", SPACE, "--wait=false")


def checks(laptop: Laptop, code: int) -> dict[str, str]:
    found = json.loads(laptop.paude("doctor", "-o", "json", code=code).stdout)["checks"]
    assert all(one["remedy"] for one in found if one["result"] == "failed"), found
    return {one["name"]: one["result"] for one in found}


def test_a_newcomer_gets_from_nothing_to_a_session_with_exactly_the_printed_role(
    newcomer: Laptop, kubectl: Admin, cluster_env: dict[str, str]
) -> None:
    words = ["setup", "--yes", "-n", SPACE, "--registry", f"{cluster_env['PAUDE_TEST_REGISTRY']}/dev"]
    words += ["--registry-ca", cluster_env["PAUDE_TEST_CA"]]
    refused = newcomer.paude(*words, code=6)
    assert [one["kind"] for one in yaml.safe_load_all(refused.stdout)] == ["Role", "RoleBinding"]
    assert not (newcomer.home / ".c/paude/config.json").exists()

    role = newcomer.home / "role.yaml"
    role.write_text(refused.stdout)
    kubectl("apply", "-f", str(role), namespace=SPACE)
    newcomer.paude(*words)
    settings = json.loads((newcomer.home / ".c/paude/config.json").read_text())
    assert (settings["backend"], settings["namespace"]) == ("kubernetes", SPACE)
    assert "nothing changed" in newcomer.paude(*words).stderr
    assert "nothing changed" in newcomer.paude("setup", "--yes").stderr, "what is set is the answer"

    before = kubectl("get", "all,configmap,secret,networkpolicy", "-o", "name", namespace=SPACE)
    seen = checks(newcomer, 0)
    assert {seen[name] for name in ("cluster", "rights", "registry", "network policies")} == {"ok"}
    assert kubectl("get", "all,configmap,secret,networkpolicy", "-o", "name", namespace=SPACE) == before

    name = newcomer.start(newcomer.workspace("first"))
    assert newcomer.inside(name, "cat /workspace/README") == "hello\n"
    newcomer.paude("status", name)
    newcomer.paude("allow", "allowed.test", name)
    newcomer.paude("stop", name)
    assert kubectl.names("-l", f"paude.io/session={name}", namespace=SPACE) == set()


def test_setup_asks_where_there_is_a_choice_and_takes_the_answer(
    laptop: Laptop, cluster_env: dict[str, str], tmp_path: Path
) -> None:
    env = {key: value for key, value in laptop.env.items() if key not in OURS}
    env |= {"XDG_CONFIG_HOME": str(tmp_path), "PAUDE_REGISTRY_CA": cluster_env["PAUDE_TEST_CA"]}
    answers = {
        b"Where do sessions run": b"nowhere",  # asked again
        b"one of kubernetes, podman, please": b"kubernetes",
        b"Which context": b"dev",
        b"Which namespace": b"proj-b",
        b"Which registry": f"{cluster_env['PAUDE_TEST_REGISTRY']}/dev".encode(),
    }
    ours, theirs = pty.openpty()
    child = subprocess.Popen([*laptop.program, "setup"], env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, asked = b"", list(answers)
    with suppress(OSError):  # the end of a terminal whose last program has gone
        while select.select([ours], [], [], 60)[0]:  # longer silence is a question that nobody answers
            seen += os.read(ours, 65536)
            if asked and asked[0] in seen:
                os.write(ours, answers[asked.pop(0)] + b"\n")
    os.close(ours)  # whoever still asks is hung up on
    assert child.wait(30) == 0, seen
    settings = json.loads((tmp_path / "paude/config.json").read_text())
    assert (settings["backend"], settings["namespace"]) == ("kubernetes", "proj-b")
    assert b"everyone with `edit` in proj-b can read the Secrets" in seen


def test_doctor_says_what_is_missing_and_the_bundle_holds_no_secret(laptop: Laptop, tmp_path: Path) -> None:
    canary = "sk-ant-api03-" + "c4n4ry" * 8
    env = {"ANTHROPIC_API_KEY": canary, "PAUDE_STORAGE_SIZE": "1Gi", "PAUDE_NAMESPACE": "nowhere-at-all"}
    bundle = tmp_path / "report.tar.gz"
    (laptop.state / "paude").mkdir(exist_ok=True)
    (laptop.state / "paude/supervisor.log").write_text(f"a line with {canary} and Bearer {'x' * 40}\n")
    done = laptop.paude("doctor", "--bundle", str(bundle), code=1, **env)
    assert "FAILED" in done.stdout
    assert "paude setup" in done.stdout
    with tarfile.open(bundle) as report:
        files = {Path(one.name).name: content.read() for one in report if (content := report.extractfile(one))}
    assert {"checks.json", "settings.json", "sessions.json", "supervisor.log", "versions.json"} <= set(files)
    assert b"a line with" in files["supervisor.log"]
    assert not any(word in text for text in files.values() for word in (canary.encode(), b"x" * 40))
    assert bundle.stat().st_mode & 0o777 == 0o600
