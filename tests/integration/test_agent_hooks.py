"""The hooks as the coding agent runs them: a shell, its words on standard input, one line that paude reads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from paude.images import hooks
from paude.sessions.activity import Activity, Doing, parse

HOSTILE = 'end"; touch gone; echo "$(touch gone) `touch gone` \\ \' %s\n\x1b]0;x\x07 ü'


def hook(event: str, directory: Path, told: dict[str, str]) -> Activity | None:
    """Run the event's hook as Claude Code does; gives what paude makes of the line that it left."""
    settings = json.loads(hooks.claude(str(directory / "state")))
    (one,) = settings["hooks"][event][0]["hooks"]
    done = subprocess.run(
        ["sh", "-c", one["command"]], input=json.dumps(told), cwd=directory, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == ""
    return parse((directory / "state").read_text())


@pytest.mark.parametrize(
    ("event", "doing"),
    [
        ("SessionStart", Doing.WAITING),
        ("UserPromptSubmit", Doing.WORKING),
        ("Notification", Doing.WAITING),
        ("PostToolUse", Doing.WORKING),
        ("Stop", Doing.WAITING),
    ],
)
def test_each_event_leaves_its_state(tmp_path: Path, event: str, doing: Doing) -> None:
    assert hook(event, tmp_path, {"hook_event_name": event}) == Activity(doing)
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_what_it_said_to_its_user_comes_along_whatever_it_is(tmp_path: Path) -> None:
    found = hook("Notification", tmp_path, {"message": HOSTILE})
    assert found is not None
    assert found.message.startswith('end"; touch gone; echo "$(touch gone)')
    assert "\x1b" not in found.message
    assert "\n" not in found.message
    assert [one.name for one in tmp_path.iterdir()] == ["state"]
