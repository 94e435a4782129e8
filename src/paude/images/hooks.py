"""How a coding agent tells what it is doing: its own hooks leave one line in its container. Pure.

The line is the agent's word and no more than that; nothing trusted depends on it.
"""

from __future__ import annotations

import json

STATE_FILE = "/run/paude/agent-state"
"""One line: `working` or `waiting`, and what it said to the user."""
REPORTING = frozenset(("claude",))
"""The agents that do so."""
_PANE = "tmux -S /run/paude/tmux.sock list-panes -t =agent -F '#{pane_tty}'"
_MESSAGE = "$(jq -r '.message // empty' 2>/dev/null | tr '\\n' ' ' | head -c 300)"

# Claude Code's events (code.claude.com/docs, "Hooks reference"). A prompt for permission is a Notification; the tool
# that was permitted ends with PostToolUse.
_WORKING = ("UserPromptSubmit", "PostToolUse")
_WAITING = ("SessionStart", "Notification", "Stop")
_RINGS = ("Notification", "Stop")


def claude(state_file: str = STATE_FILE) -> str:
    """The value of Claude Code's `--settings`: hooks beside those of the user, which stay in force."""
    hooks = {event: _note(state_file, "working") for event in _WORKING}
    hooks |= {event: _note(state_file, "waiting", rings=event in _RINGS) for event in _WAITING}
    return json.dumps({"hooks": {event: [{"hooks": [hook]}] for event, hook in hooks.items()}})


def _note(state_file: str, state: str, *, rings: bool = False) -> dict[str, object]:
    # A rename: whoever reads sees one whole line, whoever watches sees it come.
    message = f" {_MESSAGE}" if state == "waiting" else ""
    command = f"printf '%s\\n' \"{state}{message}\" > {state_file}.$$ && mv -f {state_file}.$$ {state_file}"
    if rings:
        command += f"; printf '\\a' > \"$({_PANE} | head -n 1)\""
    return {"type": "command", "command": command, "timeout": 10}
