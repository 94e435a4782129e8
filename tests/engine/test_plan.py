"""A plan is a graph that can be read without running it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from paude.engine import Plan
from paude.process import run


class Cloud:
    async def connect(self) -> str:
        return "cloud"

    async def make(self, where: str, size: int) -> int:
        return size


async def measure_it() -> int:
    return 1


def small() -> Plan:
    plan = Plan("start")
    cloud = plan.step(Cloud().connect)
    size = plan.step(measure_it)
    thing = plan.step(partial(Cloud.make, Cloud()), cloud, size)
    plan.step(measure_it, name="look again", after=[thing])
    return plan


def test_a_step_is_named_after_its_function_its_method_or_what_its_partial_calls():
    assert [node.name for node in small()] == ["connect", "measure it", "make", "look again"]


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two steps are named 'measure it'"):
        small().step(measure_it)


def test_a_need_of_another_plan_is_refused():
    foreign = small()["connect"]
    with pytest.raises(ValueError, match="belongs to another plan"):
        Plan("other").step(measure_it, after=[foreign])


def test_ancestors_are_found_through_values_and_through_bare_edges():
    plan = small()
    assert {n.name for n in plan.ancestors(plan["look again"])} == {"connect", "measure it", "make"}
    assert plan.ancestors(plan["connect"]) == frozenset()
    assert plan.dependents(plan["make"]) == [plan["look again"]]
    with pytest.raises(KeyError):
        plan["nothing"]


def test_a_plan_describes_itself_without_calling_anything():
    assert small().describe().splitlines() == [
        "start",
        "  connect",
        "  measure it",
        "  make        ← connect, measure it",
        "  look again  ← make",
    ]
    assert "  s1 --> s2" in small().mermaid().splitlines()


MISTAKES = """
from contextlib import asynccontextmanager
from collections.abc import AsyncIterator
from paude.engine import Plan, Node
async def number() -> int: return 1
@asynccontextmanager
async def text(n: int) -> AsyncIterator[str]: yield "s"
async def both(n: int, s: str) -> None: ...
plan = Plan("p")
n: Node[int] = plan.step(number)
s: Node[str] = plan.step(text, n)
plan.step(both, n, s, after=[n])
plan.step(both, s, n)  # swapped
plan.step(both, n)  # forgotten
x: Node[bytes] = plan.step(number, name="x")  # another type
"""


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_swapped_and_a_forgotten_input_are_type_errors(tmp_path):
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "mistakes.py"]
    done = await run(argv, cwd=tmp_path, env={"MYPYPATH": str(root / "src"), "PATH": "/usr/bin"}, check=False)
    wrong = {
        line.split(":")[1] for line in done.text.splitlines() if line.startswith("mistakes.py") and "error" in line
    }
    assert wrong == {"13", "14", "15"}, done.text


def test_the_whole_engine_stays_small_enough_to_be_read_in_one_sitting():
    here = Path(__file__).parents[2] / "src/paude/engine"
    files = ("plan.py", "runner.py", "events.py", "timing.py")
    lines = [line for name in files for line in (here / name).read_text().splitlines() if line.strip()]
    assert len(lines) <= 400, "lines that are not blank"
