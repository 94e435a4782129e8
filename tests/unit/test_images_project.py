"""What paude.json and devcontainer.json want of the agent's image."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import SettingsError
from paude.images import context, tidy
from paude.images.build import BuildSettings, on_its_base
from paude.images.project import OwnBuild, Project, of_devcontainer, own_build, plain_json

PLACE = ".devcontainer/devcontainer.json"


def write(workspace: Path, content: Any, place: str = PLACE) -> Path:
    file = workspace / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return workspace


def test_without_a_file_nothing_is_wanted(tmp_path: Path) -> None:
    assert of_devcontainer(tmp_path) == Project()


@pytest.mark.parametrize("place", [PLACE, ".devcontainer.json"])
def test_image_variables_and_commands_are_taken(place: str, tmp_path: Path) -> None:
    content = """{
      // comments are allowed, "and quotes in them"
      "image": "registry.test/python:3.12", /* and // these */
      "containerEnv": {"A": "https://x.test//y", "ROOT": "${containerWorkspaceFolder}/src"},
      "onCreateCommand": "make 'one two'",
      "postCreateCommand": ["pip", "install", "a b"],
    }"""

    found = of_devcontainer(write(tmp_path, content, place))

    assert found.base == "registry.test/python:3.12"
    assert found.environment == {"A": "https://x.test//y", "ROOT": "/workspace/src"}
    assert found.setup == ("make 'one two'", "pip install 'a b'")
    assert found.script == b"set -e\nmake 'one two'\npip install 'a b'\n"
    assert found.asks == {place: {"image": "registry.test/python:3.12"}}
    assert found.notes == ()


def test_several_commands_at_once_are_run_one_after_the_other(tmp_path: Path) -> None:
    commands = {"deps": "npm ci", "hook": ["git", "status"]}

    assert of_devcontainer(write(tmp_path, {"postCreateCommand": commands})).setup == ("npm ci", "git status")


def test_a_build_is_read_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer/Dockerfile").write_text("FROM x")
    build = {"dockerfile": "Dockerfile", "context": "..", "args": {"V": 1}, "target": "dev"}

    found = of_devcontainer(write(tmp_path, {"build": build, "image": "ignored"}))

    file = (tmp_path / ".devcontainer/Dockerfile").resolve()
    wanted = OwnBuild(file, tmp_path.resolve(), "dev", (("V", "1"),), b"FROM x")
    assert (found.build, found.base) == (wanted, "")
    assert found.asks[PLACE]


@pytest.mark.parametrize("build", [{"dockerfile": "../../etc/passwd"}, {"dockerfile": "missing"}, {"context": "/"}])
def test_a_build_never_leaves_the_workspace(build: dict[str, str], tmp_path: Path) -> None:
    workspace = tmp_path / "a/b"
    write(workspace, {"build": {"dockerfile": "devcontainer.json", **build}})

    with pytest.raises(SettingsError):
        of_devcontainer(workspace)


def test_a_link_out_of_the_workspace_is_no_containerfile(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("FROM x")
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "Containerfile").symlink_to(tmp_path / "outside")

    with pytest.raises(SettingsError, match="outside"):
        own_build(workspace, "Containerfile")


@pytest.mark.parametrize(
    "key", ["features", "dockerComposeFile", "initializeCommand", "postStartCommand", "mounts", "runArgs", "privileged"]
)
def test_what_is_not_done_is_told(key: str, tmp_path: Path) -> None:
    found = of_devcontainer(write(tmp_path, {"image": "x", key: {"ghcr.io/x": {}} if key == "features" else "x"}))

    (note,) = found.notes
    assert f"`{key}` is not taken" in note


def test_nothing_of_this_machines_environment_goes_along(tmp_path: Path) -> None:
    values = {"KEY": "${localEnv:HOME}", "OK": "x", "bad name": "x", "LINES": "a\nb"}

    found = of_devcontainer(write(tmp_path, {"containerEnv": values}))

    assert found.environment == {"OK": "x"}
    assert len(found.notes) == 3


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"image": 7}', '{"postCreateCommand": 7}', '{"postCreateCommand": [1]}', "[" * 100_000]
)
def test_a_file_that_makes_no_sense_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        of_devcontainer(write(tmp_path, text))


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_plain_json_stays_what_it_is(content: dict[str, Any]) -> None:
    assert json.loads(plain_json(json.dumps(content))) == content


@pytest.mark.parametrize(
    ("text", "plain"),
    [("7 /* a /* b", "7"), ('"a // b', '"a // b'), ('"a /* \\', '"a /* \\'), ('"\\\n, ]', '"\\\n, ]')],
)
def test_what_does_not_end_goes_to_the_end(text: str, plain: str) -> None:
    assert plain_json(text).strip() == plain


@given(st.lists(st.text(alphabet=st.characters(blacklist_characters="\0", codec="utf-8")), min_size=1))
def test_words_of_a_command_stay_whole(words: list[str]) -> None:
    project = of_words(words)
    assert shlex.split(project.setup[0]) == words


def of_words(words: list[str]) -> Project:
    from paude.images.project import _commands

    return Project(setup=tuple(_commands(words, "f", "k")))


@pytest.mark.parametrize("package", ["-y", "a;reboot", "a b", "A", "x\n", "$(x)", ""])
def test_only_names_of_packages_are_packages(package: str) -> None:
    with pytest.raises(SettingsError):
        Project(packages=(package,))


def test_packages_are_one_layer_before_the_agent_in_a_fixed_order() -> None:
    project = Project(packages=("tree", "g++", "libfoo:amd64=1.2-3"))

    text = context._containerfile("agent", None, project).decode()

    assert "\nUSER 0:0\nRUN apt-get update" in text
    assert " g++ libfoo:amd64=1.2-3 tree && " in text
    assert text.endswith("\nUSER 10001:0\n")
    assert context._containerfile("agent", None, Project()) == context._containerfile("agent", None)


def test_what_paude_json_says_hides_what_devcontainer_json_says() -> None:
    own = OwnBuild(Path("/w/C"), Path("/w"))
    beneath = Project(base="b", packages=("tree",), setup=("s",), environment={"A": "1", "B": "1"}, notes=("n",))
    over = Project(build=own, environment={"A": "2"}).over(beneath)

    assert (over.base, over.build, over.packages, over.setup) == ("", own, ("tree",), ("s",))
    assert over.environment == {"A": "2", "B": "1"}
    assert over.notes == ("n",)


@pytest.mark.anyio
async def test_the_projects_build_is_marked_so_that_what_it_leaves_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, programs = tmp_path / "said", tmp_path / "bin"
    programs.mkdir()
    podman = (
        f'echo "$@" >> {said}; for word; do [ "$before" = --iidfile ] && echo sha256:12 > $word; before=$word; done'
    )
    (programs / "podman").write_text(f"#!/bin/sh\n{podman}\n")
    (programs / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "Containerfile").write_text("FROM x")
    spec = context.ImageSpec("paude-agent", (), own=own_build(tmp_path, "Containerfile"))

    async def lay(source: Path, into: Path) -> None:
        (into / "file").write_bytes((source / "Containerfile").read_bytes())

    built = await on_its_base(spec, BuildSettings(tmp_path, lay=lay))

    assert (built.base, built.own) == ("localhost/paude-base-of-project:12", None)
    assert f"--build-arg {tidy.MARK}={os.getpid()}-" in said.read_text().splitlines()[0]
