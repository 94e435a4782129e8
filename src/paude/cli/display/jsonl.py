"""One JSON object a line, for programs. The first line is the plan; `version` rises when a meaning changes."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from paude.cli.display.base import Printer, Silent, one_line
from paude.engine import Event, Plan, StepEvent, StepLog

VERSION = 1


class JsonLines(Silent):
    """`{"type": "plan" | "step" | "log" | "progress", "time": …, …}`; `at` counts seconds of a monotonic clock."""

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        super().__init__()
        self._printer = Printer(stream)
        steps = [{"step": node.name, "needs": [need.name for need in node.needs]} for node in plan]
        self._write("plan", {"version": VERSION, "title": plan.title, "steps": steps})

    def __call__(self, event: Event) -> None:
        """Write the event."""
        super().__call__(event)
        fields = asdict(event)
        if isinstance(event, StepEvent):
            self._write("step", fields)
        elif isinstance(event, StepLog):
            self._write("log", {**fields, "line": one_line(event.line)})
        else:
            self._write("progress", fields)

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        # Only ASCII leaves: whatever the text holds, a terminal that shows this line obeys none of it.
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._printer.line(json.dumps({"type": kind, "time": moment, **fields}))
