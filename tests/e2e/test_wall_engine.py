"""The cluster's policy engine fails, before a start and while an agent works. What is open then is found from inside.

The engine (Calico's felix) is halted and its hooks in the node's tables are taken out for the time of a test. What such
a node lets through comes no further than the fake internet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from peers.waiting import eventually

from laptop import Laptop

pytestmark = pytest.mark.cluster

PROGRAMS, CHAINS = ("iptables", "ip6tables"), ("INPUT", "FORWARD", "OUTPUT")
PARKED_WITHIN_S = 75.0


def hooks() -> list[list[str]]:
    """The rules by which the engine's own are reached: the program for their family, and its words."""
    found = []
    for program, chain in product(PROGRAMS, CHAINS):
        listed = tables(program, "-S", chain)
        found += [[program, *line.split()] for line in listed.splitlines() if "-j cali-" in line]
    return [[word.strip('"') for word in rule] for rule in found]


def tables(program: str, *words: str) -> str:
    return subprocess.run([program, "-w", "10", *words], check=True, capture_output=True, text=True).stdout


@contextmanager
def without_the_engine(state: Path) -> Iterator[None]:
    """No policy is programmed, and none that was is in force."""
    pid = int((state / "run/felix.pid").read_text().split()[0])
    rules = hooks()
    assert {program for program, *_ in rules} == {*PROGRAMS}, "the engine has no rules: then nothing would be shown"
    os.kill(pid, signal.SIGSTOP)
    try:
        for program, _, *rule in rules:
            tables(program, "-D", *rule)
        yield
    finally:
        for program, _, *rule in reversed(rules):
            tables(program, "-I", *rule)
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: len(hooks()) >= len(rules), what="the engine's rules")


def test_an_engine_that_is_down_is_found_before_an_agent_runs(laptop: Laptop, cluster_env: dict[str, str]) -> None:
    """Nothing is in force, so the pod can reach everything: the start is refused and says what it reached."""
    workspace = laptop.workspace("down")
    with without_the_engine(Path(cluster_env["PAUDE_TEST_STATE"])):
        refused = laptop.paude("start", str(workspace), "--agent", "shell", "--detach", code=3)
        assert str(workspace) not in laptop.records(), "what the start made is taken back"
    assert "canary" in refused.stderr or "resolver" in refused.stderr or "api-server" in refused.stderr


@pytest.mark.slow
def test_rules_that_are_flushed_park_a_session_and_its_status_says_why(
    laptop: Laptop, cluster_env: dict[str, str]
) -> None:
    name = laptop.start(laptop.workspace("flushed"))
    assert "running" in laptop.paude("status", name).stdout
    with without_the_engine(Path(cluster_env["PAUDE_TEST_STATE"])):
        eventually(
            lambda: laptop.paude("exec", name, "--no-tty", "--", "true", code=None).returncode,
            PARKED_WITHIN_S,
            "the agent, parked",
        )
        facts = json.loads(laptop.paude("status", name, "-o", "json").stdout)
    assert facts["state"] in ("open", "parked")
    assert facts["fence"]["state"] == "open"
    assert {one["name"] for one in facts["fence"]["targets"] if one["result"] == "open"}
