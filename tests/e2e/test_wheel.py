"""What a user installs: a wheel that carries everything, in an environment of its own, away from the checkout."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from laptop import START_S, Laptop

pytestmark = pytest.mark.cluster

CHECKOUT = Path(__file__).parents[2]
INSTALL_S = 600  # the first time pip fetches what the build needs
ELF_MACHINES = {"amd64": 62, "arm64": 183}
IMAGE_TAGS = """
from pathlib import Path
from paude.images.build import BuildSettings
from paude.images.content import Memory
from paude.images.context import image_tag
from paude.images.build import local_name
here = Path("memory.json")
settings = BuildSettings(cache=Path())
for role, agent in (("gate", ""), ("proxy", ""), ("agent", "shell"), ("agent", "claude")):
    image = settings.image(role, agent)
    print(local_name(image, image_tag(image, Memory(here))))
"""


def _environment() -> dict[str, str]:
    """Without what makes Python find the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _python(python: Path | str, *words: str, cwd: Path) -> str:
    argv = [str(python), *words]
    done = subprocess.run(argv, cwd=cwd, env=_environment(), capture_output=True, text=True, timeout=INSTALL_S)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `pip install .` builds it."""
    out = tmp_path_factory.mktemp("wheel")
    _python(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), str(CHECKOUT), cwd=out)
    (built,) = out.glob("paude-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment in which nothing but the wheel and its dependencies is installed."""
    directory = tmp_path_factory.mktemp("environment")
    _python(sys.executable, "-m", "venv", str(directory), cwd=directory)
    _python(directory / "bin/python", "-m", "pip", "install", "--quiet", str(wheel), cwd=directory)
    return directory / "bin"


def _contents(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info for info in archive.infolist()}


def test_the_wheel_carries_all_that_images_are_made_from(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "containers", "sshd"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert tracked
    there = [name for name in tracked if (CHECKOUT / name).exists()]
    missing = {f"paude/_artifacts/{name}" for name in there} - set(_contents(wheel))
    assert not missing


@pytest.mark.parametrize("arch", ELF_MACHINES)
@pytest.mark.parametrize("program", ["paude-pod", "mutagen-agent"])
def test_the_wheel_carries_the_pods_programs_for_both_architectures(wheel: Path, program: str, arch: str) -> None:
    name = f"paude/_artifacts/bin/linux_{arch}/{program}"
    with zipfile.ZipFile(wheel) as archive, archive.open(name) as file:
        head = file.read(20)
    assert head[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", head, 18) == (ELF_MACHINES[arch],)


def test_the_wheel_is_for_this_platform_and_carries_no_keys_and_no_caches(wheel: Path) -> None:
    assert "-none-any" not in wheel.name
    assert sum(name.endswith("/paude-sync") for name in _contents(wheel)) == 1
    assert not [name for name in _contents(wheel) if name.endswith((".pyc", ".key", ".pem", ".made-from", ".new"))]


def test_each_go_module_in_a_program_has_its_licence_beside_it(wheel: Path) -> None:
    names = set(_contents(wheel))
    built_in: set[str] = set()
    for program in CHECKOUT.glob("src/paude/_artifacts/bin/*/[!.]*"):
        told = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=True).stdout
        built_in |= {"@".join(line.split("\t")[2:4]) for line in told.splitlines() if line.startswith("\tdep\t")}
    assert [module for module in built_in if module.startswith("github.com/mutagen-io/mutagen@")]
    notices = "paude/_artifacts/notices/"
    with_licence = {name.removeprefix(notices).rpartition("/")[0] for name in names if name.startswith(notices)}
    assert not built_in - with_licence


def test_an_installed_paude_names_the_same_images_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Else every installation would build and push images of its own."""
    there = _python(installed / "python", "-c", IMAGE_TAGS, cwd=tmp_path).split()
    here = _python(sys.executable, "-c", IMAGE_TAGS, cwd=tmp_path).split()
    assert len(there) == 4
    assert there == here


def test_a_session_starts_and_stops_from_an_installed_wheel(installed: Path, laptop: Laptop) -> None:
    workspace = laptop.workspace("project")

    def paude(*words: str) -> str:
        done = subprocess.run(
            [installed / "paude", *words],
            cwd=workspace,
            env=laptop.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    assert (
        CHECKOUT
        not in Path(_python(installed / "python", "-c", "import paude; print(paude.__file__)", cwd=workspace)).parents
    )
    paude("start", "--agent", "shell", "--detach")
    try:
        assert paude("exec", "--no-tty", "--", "cat", "/workspace/README") == "hello\n"
        paude("stop")
    finally:
        paude("supervisor", "stop")
    assert laptop.records() == {}
