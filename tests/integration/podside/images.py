"""The gate's and the agent's image, built from the checkout on the base that the test machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BASE = os.environ.get("PAUDE_TEST_BASE_IMAGE", "localhost/paude-base:bookworm")
BINARIES = ROOT / "src/paude/_artifacts/bin/linux_amd64"
_LIMITS = '[containers]\ndefault_ulimits = ["nofile=4096:4096","nproc=4096:4096"]\n[engine]\nruntime = "runc"\n'


def podman(*words: str, check: bool = True, stdin: bytes | None = None, seconds: float = 60) -> str:
    """What podman prints on stdout."""
    done = subprocess.run(
        ["podman", *words], env=environment(), input=stdin, capture_output=True, timeout=seconds, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"podman {words[0]}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace").strip()


def available() -> bool:
    """Whether this machine can run these tests."""
    return shutil.which("podman") is not None and bool(podman("images", "-q", BASE, check=False))


def build(role: str) -> str:
    """The image's id; layers that did not change come from the cache."""
    tag = f"localhost/paude-test-{role}"
    with tempfile.TemporaryDirectory(prefix="paude-context-") as name:
        context = Path(name)
        shutil.copytree(ROOT / "containers" / role, context, dirs_exist_ok=True)
        shutil.copytree(ROOT / "sshd", context / "sshd")
        for binary in ("paude-pod", "mutagen-agent") if role == "gate" else ("paude-pod",):
            shutil.copy(BINARIES / binary, context / binary)
        for file in [context, *context.rglob("*")]:
            os.utime(file, (0, 0))
        words = ["build", "-q", "--layers", "--network=host", "--timestamp=0", "--build-arg", f"BASE={BASE}"]
        podman(*words, "-t", tag, "-f", str(context / "Containerfile"), str(context), seconds=600)
    return tag


def environment() -> dict[str, str]:
    """The caller's, with limits that a machine without CAP_SYS_RESOURCE can grant, unless he set his own."""
    given = dict(os.environ)
    if "CONTAINERS_CONF" not in given:
        file = Path(tempfile.gettempdir()) / f"paude-test-containers-{os.getuid()}.conf"
        file.write_text(_LIMITS)
        given["CONTAINERS_CONF"] = str(file)
    return given
