"""Scripts that make something out of what paude says, and those that a user runs elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from paude.cli.display.jsonl import JsonLines
from paude.engine import Plan, StepEvent

CHECKOUT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


async def nothing() -> None:
    """A step."""


def events() -> str:
    """A run of three steps as `--progress json` tells it: the second and the third wait for the first."""
    plan = Plan("start")
    first = plan.step(nothing, name="first & <only>")
    plan.step(nothing, after=[first], name="long")
    plan.step(nothing, after=[first], name="short")
    stream = io.StringIO()
    told = JsonLines(plan, stream)
    for step, begin, end in (("first & <only>", 10.0, 11.0), ("long", 11.0, 14.0), ("short", 11.0, 11.5)):
        told(StepEvent(step, "started", begin))
        told(StepEvent(step, "ready", end))
    return "warning: not of the run\n" + stream.getvalue()


def test_a_run_is_drawn_from_its_events() -> None:
    argv = [sys.executable, str(CHECKOUT / "scripts/lib/picture.py"), "A run"]
    done = subprocess.run(argv, input=events(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    drawing = ElementTree.fromstring(done.stdout)
    words = [one.text for one in drawing.iter(f"{SVG}text")]
    assert {"A run", "first & <only>", "long", "3.00 s", "0.50 s"} <= set(words)
    assert "4.0 s; the steps one after the other: 4.5 s" in words
    bars = [one for one in drawing.iter(f"{SVG}rect") if one.get("height") == "12"]
    widths = {one.get("fill"): float(one.get("width") or 0) for one in bars}
    assert len(bars) == 3
    assert len(widths) == 2, "the critical path has a colour of its own"
    assert float(bars[1].get("width") or 0) == pytest.approx(3 * float(bars[0].get("width") or 0), rel=0.01)


def test_the_picture_in_the_documents_is_a_drawing_of_a_start() -> None:
    drawing = ElementTree.parse(CHECKOUT / "docs/start.svg").getroot()
    words = {one.text for one in drawing.iter(f"{SVG}text")}
    assert {"create pod", "release agent", "first sync"} <= words


def test_the_checklist_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, CHECKOUT / "scripts/lib/accept.py", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--context", "--namespace", "--allowed"))


@pytest.mark.parametrize("script", ["accept", "mac", "man", "picture"])
def test_a_script_is_a_program_and_sound(script: str) -> None:
    path = CHECKOUT / "scripts" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path], capture_output=True, timeout=60).returncode == 0


def test_a_machine_that_is_no_mac_is_told_so() -> None:
    if sys.platform != "darwin":
        done = subprocess.run([CHECKOUT / "scripts/mac"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, "this is no Mac" in done.stderr) == (2, True)


def test_a_terminal_whose_program_has_ended_is_not_waited_for() -> None:
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import accept\n"
        "master, slave = os.openpty(); os.write(slave, b'last words'); os.close(slave)\n"
        "try: accept.Terminal(0, master).sees(b'$ ', 3600)\n"
        "except accept.Failed as error: print(error)\n"
    )
    argv = [sys.executable, "-c", program, str(CHECKOUT / "scripts/lib")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "last words" in done.stdout
