"""A place that is dead neither hides the sessions of the other nor makes the list fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import Laptop

pytestmark = pytest.mark.podman

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: it
clusters: [{{name: it, cluster: {{server: "https://127.0.0.1:{port}"}}}}]
users: [{{name: it, user: {{token: nothing}}}}]
contexts: [{{name: it, context: {{cluster: it, user: it, namespace: here}}}}]
"""


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """A port at which something listens that never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def session(laptop: Laptop) -> str:
    return laptop.start(laptop.workspace("project"), "--timeout", "250")


def listed(laptop: Laptop, **env: str) -> tuple[dict[str, str], str]:
    done = laptop.paude("sessions", "-o", "json", **env)
    return {one["name"]: one["state"] for one in json.loads(done.stdout)["sessions"]}, done.stderr


def test_a_cluster_that_never_answers_does_not_hide_what_runs_on_podman(
    laptop: Laptop, session: str, silent: int, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG.format(port=silent))
    found, said = listed(laptop, KUBECONFIG=str(file))
    assert found[session] == "running"
    assert f"https://127.0.0.1:{silent}" in said


def test_a_podman_that_is_not_there_is_told_and_the_list_does_not_fail(
    laptop: Laptop, session: str, tmp_path: Path
) -> None:
    found, said = listed(laptop, CONTAINER_HOST=f"unix://{tmp_path}/podman.sock")
    assert session not in found
    assert "podman" in said
    assert listed(laptop)[0][session] == "running"
