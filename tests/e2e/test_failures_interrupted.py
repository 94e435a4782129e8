"""Ctrl-C and SIGKILL at every step of a start: nothing half-made stays, or the next command cleans it up."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import failing
from failing import Here
from laptop import Admin, Laptop
from paude.backends.kubernetes.start import Start
from paude.plans import start
from paude.plans.laptop import Laptop as Side
from paude.sessions.records import Record
from paude.settings import Paths

pytestmark = pytest.mark.cluster

NOWHERE = Path("/nonexistent")
PATHS = Paths(NOWHERE, NOWHERE, NOWHERE, NOWHERE)
RECORD = Record("x", "0" * 16, "kubernetes", "/x", "shell", "2026-01-01T00:00:00+00:00")
STEPS = [node.name for node in start.on_kubernetes(Start(None, PATHS), Side(RECORD, True, PATHS))]  # type: ignore[arg-type]


LAST = STEPS[STEPS.index("mark seeded") :]
AT_A_TIME = 4  # they mostly wait: for pods to come up, and for them to go


@pytest.fixture
def here(shared_laptop: Laptop, kubectl: Admin) -> Here:
    return failing.of(shared_laptop, kubectl, "proj-b")


def interrupted(here: Here, step: str) -> str:
    """Ctrl-C when the step begins; what is wrong afterwards, or nothing."""
    name = re.sub("[^a-z]", "-", step)
    place = here.beside(name)
    running = place.begin("--name", name)
    seen = running.until_started(step)
    running.signal(signal.SIGINT)
    code = running.end()
    try:
        assert seen
        if code == 0:  # the last steps are over sooner than the signal arrives: then the session runs
            assert step in LAST
            here.laptop.paude("stop", name)
        else:
            assert code == 130
            assert "interrupted" in running.words
            assert "left behind" not in running.words
        here.forgets(name)
    except AssertionError as error:
        return f"--- {step}: exit {code}, {error}\n{running.words}"
    return ""


def test_a_start_that_is_interrupted_at_any_step_leaves_nothing(here: Here) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        wrong = [text for text in pool.map(lambda step: interrupted(here, step), STEPS) if text]
    assert wrong == [], "\n".join(wrong)
    here.leaves_nothing()


@pytest.mark.parametrize("step", ["make keys", "create anchor", "apply secrets", "create pod", "seed", "release agent"])
def test_after_a_killed_start_stop_removes_what_it_made(here: Here, step: str) -> None:
    running = here.begin("--name", "killed")
    assert running.until_started(step), running.words
    running.signal(signal.SIGKILL)
    assert running.end() == -signal.SIGKILL
    here.laptop.paude("stop", "killed")
    _sweep(here)
    here.leaves_nothing()


@pytest.mark.parametrize("step", ["connect", "claim volume", "first sync"])
def test_after_a_killed_start_the_next_one_begins_anew(here: Here, step: str) -> None:
    running = here.begin()
    assert running.until_started(step), running.words
    running.signal(signal.SIGKILL)
    assert running.end() == -signal.SIGKILL
    name = here.start()
    assert here.laptop.inside(name, "cat README") == "hello\n"
    assert len(here.laptop.records()) == 1
    mine = here.admin.names("-l", f"paude.io/session={name}", namespace=here.space)
    assert here.objects() == mine
    here.laptop.paude("stop", name)
    _sweep(here)
    here.leaves_nothing()


def _sweep(here: Here) -> None:
    """What a killed process left in the temporary directory nobody can know; podman's and ours are told apart here."""
    left = failing.names(here.laptop.home / ".t")
    assert not {name for name in left if "paude" in name}, left
    for name in left:
        (here.laptop.home / ".t" / name).unlink()
