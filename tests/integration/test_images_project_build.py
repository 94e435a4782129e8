"""An agent's image on what the project builds for itself, with packages of its own: built by the real podman."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paude.images.build import BuildSettings, build, local_name, on_its_base
from paude.images.ensure import tag_of
from paude.images.once import Once
from paude.images.project import Project, own_build
from paude.plans.request import Gift, Wishes, prepare, project_of
from paude.settings import Paths, read
from paude.sync import copied, selection
from podman_machine import BASE, available, podman

pytestmark = [pytest.mark.podman, pytest.mark.anyio]


@pytest.fixture(autouse=True)
def _machine() -> None:
    if not available():
        pytest.skip("needs podman and the base image")


def settings(tmp_path: Path, workspace: Path) -> BuildSettings:
    own = own_build(workspace, "Containerfile", arguments={"WORD": "several words"})
    project = Project(build=own, packages=("tree",))

    async def lay(source: Path, into: Path) -> None:
        await copied.copy(workspace, source, await selection.outgoing(workspace), into)

    return BuildSettings(cache=tmp_path / "cache", base=BASE, network="host", project=project, lay=lay)


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
        assert await tag_of(wanted.image("agent", "shell"), wanted) == tag, "one run, one image"
        later = replace(wanted, bases=Once())
        assert await tag_of(later.image("agent", "shell"), later) != tag
    finally:
        made = podman("images", "--quiet", "localhost/paude-base-of-project").split()
        podman("rmi", "--force", name, *dict.fromkeys(made))
    gate = wanted.image("gate")
    assert (gate.base, gate.own) == (BASE, None), "the gate stands on nothing of the project's"


async def test_a_build_sees_what_the_sync_would_send_and_the_containerfile_that_was_agreed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "project"
    for name, text in {
        "Containerfile": f"FROM {BASE}\nCOPY . /seen\n",
        "paude.json": '{"build": {"containerfile": "Containerfile"}, "agent": "shell"}',
        ".gitignore": "ignored\n",
        ".env": "KEY=canary",
        "deploy/id_rsa": "canary",
        "deploy/run": "#!/bin/sh\n",
        "ignored": "canary",
    }.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    (workspace / "deploy/run").chmod(0o755)
    (workspace / "deploy/out").symlink_to("/etc/passwd")
    (workspace / "deploy/in").symlink_to("run")
    monkeypatch.setenv("PAUDE_BASE_IMAGE", BASE)
    monkeypatch.setenv("PAUDE_BACKEND", "podman")
    paths = Paths(*(tmp_path / part for part in ("state", "runtime", "config", "cache")))
    settled = read(paths, workspace)
    project = project_of(workspace, settled)
    prepared = prepare(Wishes(workspace, settled, project=project, walled=False), paths, Gift()).request
    (workspace / "Containerfile").write_text(f"FROM {BASE}\nCOPY . /seen\nENV EVIL=yes\n")

    name = (await on_its_base(prepared.agent_image, prepared.build)).base

    try:
        look = "cd /seen && find . -mindepth 1 | sort; test -x deploy/run && printenv EVIL"
        seen = podman("run", "--rm", "--network=none", name, "sh", "-c", f"{look}; true").split()
        wanted = [".gitignore", "Containerfile", "deploy", "deploy/in", "deploy/run", "paude.json"]
        assert seen == [f"./{path}" for path in wanted]
    finally:
        podman("rmi", "--force", name)
