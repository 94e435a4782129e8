"""What the user sees of a run: on a terminal, in a log, as JSON."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.cli import display
from paude.cli.display.base import amount, one_line, rate
from paude.cli.display.live import Live
from paude.cli.display.plain import Plain
from paude.engine import Event, Plan, StepEvent, StepLog, StepProgress
from paude.errors import Leftover, UsageError
from paude.process import run

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202eover\r\n\x9b2J[bold]x"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def work(*_: object) -> None: ...


def plan() -> Plan:
    plan = Plan("start")
    connect = plan.step(work, name="connect")
    plan.step(work, name="push image", after=[connect])
    return plan


GOOD: list[Event] = [
    StepEvent("connect", "started", 100),
    StepEvent("connect", "ready", 100.5),
    StepEvent("push image", "started", 100.5),
    StepLog("push image", HOSTILE),
    StepProgress("push image", 10 * 2**20, 40 * 2**20, "bytes"),
    StepEvent("push image", "ready", 104),
    StepEvent("push image", "closed", 105),
    StepEvent("connect", "closed", 105),
]
POD = Leftover("pod", "paude-x-0", "oc delete pod paude-x-0")
BAD: list[Event] = [
    *GOOD[:3],
    StepEvent("push image", "failed", 103),
    StepEvent("connect", "abandoned", 113, (POD,)),
]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_for_what_starts_gets_ready_and_goes_wrong_and_none_for_what_just_closes():
    stream = io.StringIO()
    with display.open("plain", plan(), stream) as show:
        for event in [*GOOD, *BAD[3:]]:
            show(event)
    said = [line.split("s  ", 1)[1] for line in stream.getvalue().splitlines()]
    assert said == [
        "connect: started",
        "connect: ready after 0.5 s",
        "push image: started",
        "push image: red over [bold]x",
        "push image: ready after 3.5 s",
        "push image: failed",
        "connect: abandoned",
    ]


def test_progress_in_a_log_is_told_every_few_seconds_only():
    stream, clock = io.StringIO(), Clock()
    show = Plain(plan(), stream, clock)
    for second in range(12):
        clock.now = 1000.0 + second
        show(StepProgress("push image", second, 12, "layers"))
    assert stream.getvalue().splitlines() == [
        "   5.0 s  push image: 5 of 12 layers",
        "  10.0 s  push image: 10 of 12 layers",
    ]


def test_json_begins_with_the_plan_and_every_line_is_an_object_of_pure_ascii():
    stream = io.StringIO()
    with display.open("json", plan(), stream) as show:
        for event in [*GOOD, *BAD[3:]]:
            show(event)
    lines = stream.getvalue().splitlines()
    assert all(line.isascii() and line.isprintable() for line in lines)
    first, *others = map(json.loads, lines)
    assert (first["type"], first["version"]) == ("plan", 1)
    assert first["steps"] == [{"step": "connect", "needs": []}, {"step": "push image", "needs": ["connect"]}]
    assert [o["type"] for o in others] == ["step"] * 3 + ["log", "progress"] + ["step"] * 5
    assert others[-1]["leftovers"] == [{"kind": "pod", "name": "paude-x-0", "command": "oc delete pod paude-x-0"}]


@pytest.mark.parametrize("kind", ["plain", "json", "quiet", "live"])
def test_every_display_keeps_the_leftovers_for_the_last_words(kind):
    with display.opener(kind)(plan()) as show:
        for event in BAD:
            show(event)
    assert show.leftovers == [POD]


@pytest.mark.parametrize("kind", ["plain", "json", "live"])
def test_a_terminal_that_goes_away_does_not_disturb_the_run(kind):
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with display.open(kind, plan(), stream) as show:
        for event in [*GOOD, *BAD[3:]]:
            show(event)
    assert show.leftovers == [POD]
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_an_unknown_display_is_a_usage_error():
    with pytest.raises(UsageError, match="no kind of progress 'fancy'"):
        display.opener("fancy")


def drawn(events: list[Event], monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[str, str]:
    """What a real terminal is sent: as it is, and without its control sequences. `live` is what `auto` picks there."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment}.items():
        monkeypatch.setenv(name, value)
    master, slave = os.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream, os.fdopen(master, "rb") as terminal:
        with display.open("auto", plan(), stream) as show:
            for event in events:
                show(event)
                if isinstance(show, Live):
                    show.redraw()
        stream.write("\nEND\n")
        stream.flush()
        raw = b""
        while b"END" not in raw:
            raw += os.read(terminal.fileno(), 65536)
    text = raw.decode()
    return text, ANSI.sub("", text)


def test_a_terminal_shows_who_works_how_far_it_is_and_one_line_in_the_end(monkeypatch):
    raw, text = drawn(GOOD, monkeypatch)
    assert "start  1/2" in text
    assert re.search(r"push image +0\.\d s .*10\.0 of 40\.0 MiB", text)
    assert "✓ start: 2 steps in 4.0 s (one after the other 4.0 s)" in text
    assert text.rstrip().endswith("END")
    assert raw.index("\x1b[?25l") < raw.rindex("\x1b[?25h"), "the cursor comes back"
    assert "\x1b[32m✓" in raw


def test_a_terminal_shows_what_failed_and_what_is_left(monkeypatch):
    _, text = drawn(BAD, monkeypatch)
    assert re.search(r"✗ push image failed after \d", text)
    assert "start: taking back" in text
    assert "✗ connect abandoned" in text


def test_foreign_text_commands_neither_the_terminal_nor_the_renderer(monkeypatch):
    raw, text = drawn(GOOD, monkeypatch)
    assert "push image: red over [bold]x" in text
    assert not {"\x1b]", "\x9b", "\u202e", "\x1b[31m", "\x07"} & {
        s for s in ("\x1b]", "\x9b", "\u202e", "\x1b[31m", "\x07") if s in raw
    }


def test_no_color_is_honoured(monkeypatch):
    raw, _ = drawn([*GOOD[:3], *BAD[3:]], monkeypatch, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    raw, text = drawn(GOOD, monkeypatch, TERM="dumb")
    assert raw == text
    assert "connect: ready after 0.5 s" in text


@pytest.mark.anyio
async def test_rich_is_loaded_only_by_those_who_look(tmp_path):
    code = "import sys, paude.cli.display as d; d.opener('plain'); print('rich' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    done = await run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, cwd=tmp_path)
    assert done.text.strip() == "False"


@settings(deadline=None)
@given(st.text())
def test_whatever_the_text_one_line_of_it_is_printable(text):
    shown = one_line(text)
    assert "\n" not in shown
    assert all(ord(c) >= 32 and not 0x7F <= ord(c) <= 0x9F for c in shown)


def test_numbers_are_told_in_the_unit_of_the_whole():
    assert amount(512, 2048, "bytes") == "0.5 of 2.0 KiB"
    assert amount(3 * 2**30, None, "bytes") == "3.0 GiB"
    assert amount(7, None, "layers") == "7 layers"
    assert amount(0, 5, "files") == "0 of 5 files"
    assert rate(1.5 * 2**20) == "1.5 MiB/s"
