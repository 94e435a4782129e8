"""How a verb prints what it found: text for people, JSON, YAML or bare names for programs. Fields: docs/output.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from paude.cli.app import put
from paude.errors import UsageError

LISTING = ("text", "wide", "name", "json", "yaml")
FACTS = ("text", "json", "yaml")
_SECOND_SPELLINGS = {"table": "text"}


def _matching(forms: Sequence[str], incomplete: str) -> list[str]:
    return [form for form in forms if form.startswith(incomplete)]


def _listing(incomplete: str) -> list[str]:
    return _matching(LISTING, incomplete)


def _facts(incomplete: str) -> list[str]:
    return _matching(FACTS, incomplete)


Listing = Annotated[
    str, typer.Option("--output", "-o", metavar="FORM", help="text, wide, name, json or yaml.", autocompletion=_listing)
]
"""The option of verbs that list several things."""
Facts = Annotated[
    str, typer.Option("--output", "-o", metavar="FORM", help="text, json or yaml.", autocompletion=_facts)
]
"""The option of verbs that tell about one thing, and of those that measure."""


def checked(form: str, known: Sequence[str] = LISTING) -> str:
    """The form that was asked for. Raises UsageError for one that is not `known`."""
    form = _SECOND_SPELLINGS.get(form, form)
    if form not in known:
        raise UsageError(f"there is no output format {form[:40]!r}", hint="formats: " + ", ".join(known))
    return form


def document(form: str, facts: Mapping[str, Any], *, one_of_many: bool = False) -> bool:
    """Print `facts` where a program's form was asked for; whether it was one.

    With `one_of_many` others follow: JSON takes one line each, YAML is a stream of documents.
    """
    if form not in {"json", "yaml"}:
        return False
    text = json.dumps(facts, indent=None if one_of_many else 1, default=str)
    if form == "yaml":
        import yaml

        # By way of JSON: the same types in both, and tuples are lists. Not ASCII is escaped, as JSON does it:
        # names that come from the pod must not steer the terminal.
        text = yaml.safe_dump(json.loads(text), sort_keys=False, explicit_start=one_of_many).rstrip("\n")
    put(text)
    return True


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, headers: bool = True) -> None:
    """Print rows in columns that are as wide as they must be."""
    lines = [header, *rows] if headers else list(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))] if lines else []
    for line in lines:
        put("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
