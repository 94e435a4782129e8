"""The supervisor waits in the background for hours: it loads what it needs for tunnels and sync, and nothing else."""

from __future__ import annotations

import subprocess
import sys

# What it has loaded once a session on Kubernetes is followed. Whatever comes here costs every user its memory.
LOADED = """
import sys
import paude.plans.supervise, paude.plans.on_kubernetes
import paude.backends.kubernetes.login, paude.backends.kubernetes.tunnels
ours = {".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("paude.")}
others = {name.split(".")[0] for name in sys.modules if sys.modules[name] is not None} - sys.stdlib_module_names
print(*sorted(ours | others))
"""
NEEDED = {
    *("anyio", "paude", "websockets", "yaml"),
    *("paude.artifacts", "paude.backends", "paude.errors", "paude.gate", "paude.plans", "paude.process"),
    *("paude.redaction", "paude.report", "paude.sessions", "paude.settings", "paude.ssh", "paude.supervisor"),
    *("paude.sync", "paude.tunnel"),
}
# They come with anyio; and what Python itself and Cython put there.
BROUGHT = {"exceptiongroup", "idna", "sniffio", "typing_extensions", "_distutils_hack", "cython_runtime"}


def test_it_loads_no_more_than_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if not name.startswith(("_cython_", "__"))}
    assert loaded - NEEDED - BROUGHT == set()
    assert loaded >= NEEDED
