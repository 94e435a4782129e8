"""The documents' commands as somebody types them: the blocks, which tests type them, and what nobody types."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from laptop import Laptop

CHECKOUT = Path(__file__).parents[1]

TYPED = {
    ("README.md", "On your laptop"): "tests/integration/test_podman_typed.py",
    ("docs/getting-started.md", "The first session"): "tests/integration/test_podman_typed.py",
    ("docs/getting-started.md", "At work"): "tests/e2e/test_docs_commands.py",
    ("docs/getting-started.md", "The end"): "tests/integration/test_podman_typed.py",
    ("docs/getting-started.md", "From scripts"): "tests/integration/test_podman_typed.py",
    ("docs/PODMAN.md", ""): "tests/integration/test_podman_typed.py",
    ("docs/output.md", ""): "tests/e2e/test_docs_commands.py",
    ("docs/OPENSHIFT.md", "One-time set-up"): "tests/e2e/test_shown_typed.py",
    ("docs/OPENSHIFT.md", "Daily use"): "tests/e2e/test_shown_typed.py",
    ("docs/OPENSHIFT.md", "What is in the namespace"): "tests/e2e/test_shown_typed.py",
}
"""The sections whose lines a test types, but for those left out."""
REGISTRYS_ROUTE = (
    "oc patch configs.imageregistry.operator.openshift.io/cluster --type merge "
    """-p '{"spec":{"defaultRoute":true}}'"""
)
LEFT_OUT = {
    "pip install .": "`tests/e2e/test_wheel.py` installs the wheel",
    "paude attach": "needs a terminal: `tests/contract/test_verbs.py`",
    "paude forward 8000": "runs until it is interrupted: `tests/contract/test_verbs.py`",
    "paude --version": "`tests/unit/test_cli.py`",
    'eval "$(paude completion bash)"': "`tests/integration/test_completion_shells.py`",
    "paude setup": "asks: `tests/e2e/test_shown_setup.py`",
    "paude agent wait && paude stop": "a shell does not tell: `tests/contract/test_verbs.py`",
    "scripts/demo": "`tests/e2e/test_demo.py`",
    "scripts/test": "it is what runs the tests: `scripts/test`",
    "scripts/accept --context crc -n paude-me": "`tests/e2e/test_accept.py`",
    "oc login --web https://api.cluster.example.com:6443": "OpenShift's login: `tests/integration/test_cluster_api.py`",
    "oc new-project paude-me": "OpenShift's program; asked for by paude: `tests/e2e/test_failures_cluster.py`",
    REGISTRYS_ROUTE: "OpenShift's operator; a registry with a route: `tests/e2e/test_shown_openshift_registry.py`",
    "crc setup": "OpenShift Local: `tests/e2e/test_shown_openshift.py`",
    "crc start": "OpenShift Local: `tests/e2e/test_shown_openshift.py`",
    'eval "$(crc oc-env)"': "OpenShift Local: `tests/e2e/test_shown_openshift.py`",
    "oc login -u developer https://api.crc.testing:6443": "OpenShift Local: `tests/integration/test_cluster_api.py`",
    "scripts/mac": "needs a Mac: `scripts/mac`",
    "scripts/mac --context crc -n paude-me": "needs a Mac: `scripts/mac`",
}
"""Why a line is not typed as it stands, and what shows it otherwise."""


def blocks() -> Iterator[tuple[str, str, str]]:
    """Document, section and line of every block for a shell."""
    for path in [CHECKOUT / "README.md", *sorted(CHECKOUT.glob("docs/*.md"))]:
        sections = re.split(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
        for section, text in zip(["", *sections[1::2]], [sections[0], *sections[2::2]], strict=True):
            for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
                for line in block.splitlines():
                    if typed := re.sub(r"(^|\s+)#.*", "", line).strip():
                        yield str(path.relative_to(CHECKOUT)), section, typed


def lines(document: str, section: str) -> list[str]:
    """The lines of a section that are typed."""
    found = [line for *where, line in blocks() if (document, section) == tuple(where)]
    assert found, f"{document} has no commands in {section!r}"
    return [line for line in found if line not in LEFT_OUT]


def types(laptop: Laptop, line: str, where: Path) -> subprocess.CompletedProcess[str]:
    """A line typed into bash in a directory; `paude` and kubectl's plug-in are on the PATH, `oc` is kubectl."""
    programs = laptop.home / "bin"
    programs.mkdir(exist_ok=True)
    for name, program in (("paude", f'"{sys.executable}" -m paude'), ("oc", "kubectl")):
        (programs / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "kubectl-paude").unlink(missing_ok=True)
    (programs / "kubectl-paude").symlink_to(programs / "paude")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env={**laptop.env, "PATH": f"{programs}:{laptop.env['PATH']}"},
        cwd=where,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
