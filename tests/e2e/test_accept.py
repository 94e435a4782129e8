"""The checklist that users run on their own clusters, run on this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from laptop import Laptop

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

CHECKOUT = Path(__file__).parents[2]


def test_every_promise_of_the_checklist_is_ticked_here(laptop: Laptop) -> None:
    words = ["--namespace", "proj-b", "--allowed", "allowed.test", "--forbidden", "forbidden.test", "--quick"]
    done = subprocess.run(
        [sys.executable, CHECKOUT / "scripts/lib/accept.py", *words],
        env=laptop.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    ticks = [line[:5] for line in done.stdout.splitlines() if line.startswith("- [")]
    assert ticks.count("- [x]") == 14  # not the fresh install, not Vertex
    assert ticks.count("- [ ]") == 0
    assert done.stdout.endswith("accept: ok\n")
