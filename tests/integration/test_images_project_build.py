"""An agent's image on what the project builds for itself, with packages of its own: built by the real podman."""

from __future__ import annotations

from pathlib import Path

import pytest

from paude.images.build import BuildSettings, build, local_name
from paude.images.ensure import tag_of
from paude.images.project import Project, own_build
from podman_machine import BASE, available, podman

pytestmark = [pytest.mark.podman, pytest.mark.anyio]


@pytest.fixture(autouse=True)
def _machine() -> None:
    if not available():
        pytest.skip("needs podman and the base image")


def settings(tmp_path: Path, workspace: Path) -> BuildSettings:
    own = own_build(workspace, "Containerfile", arguments={"WORD": "several words"})
    project = Project(build=own, packages=("tree",))
    return BuildSettings(cache=tmp_path / "cache", runtime=tmp_path, base=BASE, network="host", project=project)


async def test_the_projects_build_is_what_the_agents_image_stands_on(tmp_path: Path) -> None:
    workspace = tmp_path / "project"
    workspace.mkdir()
    (workspace / "tool").write_text("from the project\n")
    (workspace / "Containerfile").write_text(
        f'FROM {BASE}\nARG WORD\nCOPY tool /opt/tool\nRUN echo "$WORD" > /opt/word\nUSER 4711\n'
    )
    wanted = settings(tmp_path, workspace)
    image = wanted.image("agent", "shell")
    tag = await tag_of(image, wanted)

    name = await build(image, tag, wanted)

    try:
        said = podman(
            "run", "--rm", "--network=none", name, "sh", "-c", "cat /opt/tool /opt/word; command -v tree; id -u"
        )
        assert said.split("\n") == ["from the project", "several words", "/usr/bin/tree", "10001"]
        assert name == local_name(image, tag)
        assert await tag_of(wanted.image("agent", "shell"), wanted) == tag, "the same files make the same image"
        (workspace / "tool").write_text("changed\n")
        assert await tag_of(wanted.image("agent", "shell"), wanted) != tag
    finally:
        made = podman("images", "--quiet", "localhost/paude-base-of-project").split()
        podman("rmi", "--force", name, *dict.fromkeys(made))
    gate = wanted.image("gate")
    assert (gate.base, gate.own) == (BASE, None), "the gate stands on nothing of the project's"
