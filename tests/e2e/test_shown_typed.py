"""What docs/OPENSHIFT.md says, typed as written, by a user with `edit` in a namespace that behaves like OpenShift's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import typed
from laptop import Admin, Laptop
from openshift_space import INNER

pytestmark = pytest.mark.cluster

SPACE = "shift"
# Names of the document's cluster, namespace and registry, and those of the tests'.
HERE = {"crc": "shift", "paude-me": SPACE}
REGISTRY = "registry.example.com/me"


def here(line: str) -> str:
    """The line with the names of this cluster; what is left to answer is taken as proposed."""
    words = " ".join(HERE.get(word, word) for word in line.split(" "))
    return f"{words} --yes" if words.startswith("paude setup") else words


def test_set_up_and_a_day_of_work_as_they_are_written(
    laptop: Laptop, kubectl: Admin, cluster_env: Mapping[str, str], tmp_path: Path
) -> None:
    where = laptop.home / "src/my-project"
    where.mkdir(parents=True)
    (where / "README").write_text("hello\n")
    kept = {key: value for key, value in laptop.env.items() if not key.startswith(("PAUDE_REGISTRY", "PAUDE_BACKEND"))}
    own = Path(shutil.copy(laptop.env["KUBECONFIG"], tmp_path / "kubeconfig"))  # the other is for everybody
    laptop.env = {**kept, "PAUDE_AGENT": "shell", "XDG_CONFIG_HOME": str(tmp_path), "KUBECONFIG": str(own)}
    typed.types(laptop, "kubectl config use-context shift", where)

    set_up, named, always, found = typed.lines("docs/OPENSHIFT.md", "One-time set-up")
    done = typed.types(laptop, here(set_up), where)
    assert done.returncode == 0, f"{set_up}: {done.stderr}"
    settings = json.loads((tmp_path / "paude/config.json").read_text())
    assert settings["namespace"] == SPACE

    registry = f"{cluster_env['PAUDE_TEST_REGISTRY']}/dev"
    shown = typed.types(laptop, f"{always.replace(REGISTRY, registry)}; paude config show -o json", where)
    assert f'"{registry}"' in shown.stdout, shown.stderr
    for line, place in ((named.replace(REGISTRY, registry), registry), (found, f"{INNER}/{SPACE}")):
        done = typed.types(laptop, line, where)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        (record,) = laptop.records().values()
        pod = json.loads(kubectl("get", "pod", f"paude-{record['name']}-0", "-o", "json", namespace=SPACE))
        assert all(one["image"].startswith(f"{place}/paude-") for one in pod["spec"]["containers"])
        laptop.paude("stop", str(record["name"]), "--discard")

    *day, end = typed.lines("docs/OPENSHIFT.md", "Daily use")
    assert end == "paude stop"
    for line in day:
        done = typed.types(laptop, here(line), where)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    (name,) = (str(record["name"]) for record in laptop.records().values())
    (look,) = typed.lines("docs/OPENSHIFT.md", "What is in the namespace")
    shown = typed.types(laptop, f"{look} -n {SPACE}", where)
    assert shown.returncode == 0, shown.stderr
    assert f"paude-{name}" in shown.stdout
    done = typed.types(laptop, end, where)
    assert done.returncode == 0, done.stderr
    assert kubectl.names("-l", f"paude.io/session={name}", namespace=SPACE) == set()
