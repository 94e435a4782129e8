"""What the coding agent does, by its own word: working, waiting for its user, or ended. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from paude.process import clean

LONGEST = 300


class Doing(StrEnum):
    """What it is at."""

    WORKING = "working"
    WAITING = "waiting"
    ENDED = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Activity:
    """`message` is what the agent said to its user; `code` is how it ended; `for_s` is how long it has been so."""

    doing: Doing
    message: str = ""
    code: int | None = None
    for_s: float | None = None


def parse(line: str) -> Activity | None:
    """What one line of the agent's container tells: a state and a message, or how it ended. None for anything else."""
    line = clean(line.strip()[: 4 * LONGEST]).partition("\n")[0].replace("\t", " ")
    if line.startswith("{"):
        return _ended(line)
    word, _, message = line.partition(" ")
    if word not in {Doing.WORKING, Doing.WAITING}:
        return None
    return Activity(Doing(word), message.strip()[:LONGEST])


def _ended(line: str) -> Activity | None:
    try:
        code = json.loads(line)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return Activity(Doing.ENDED, code=code) if isinstance(code, int) else None
