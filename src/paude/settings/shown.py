"""The table of settings as others read it: a JSON schema for editors, rows of a document, words. Pure."""

from __future__ import annotations

import json
from typing import Any

from paude.settings import table
from paude.settings.reading import WORKSPACE_FILE, Found
from paude.settings.table import Setting

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The JSON schema of paude.json and of the user's own file."""
    top: dict[str, Any] = {
        "$schema": _DIALECT,
        "title": "Settings of paude",
        "description": f"{WORKSPACE_FILE} of a workspace, and the user's own settings.",
        **_group(),
    }
    top["properties"]["$schema"] = {"type": "string"}
    for row in table.rows():
        *groups, last = row.name.split(".")
        place = top
        for group in groups:
            place = place["properties"].setdefault(group, _group())
        place["properties"][last] = {**row.kind.schema, "description": row.words, "default": row.default}
    # The other form of `backend`: an object with what belongs to it.
    backend = top["properties"]["backend"]
    top["properties"]["backend"] = {"anyOf": [backend, {"type": "object"}], "description": backend["description"]}
    return top


def _group() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def document() -> str:
    """The table as Markdown: what docs/configuration.md holds between its marks."""
    lines = ["| setting | kind | default | flag | variable | meaning |", "|---|---|---|---|---|---|"]
    for row in table.rows():
        flag = f"`{row.flag}`" if row.flag else ""
        words = f"{row.words}{_remarks(row)}".replace("|", "\\|")
        lines.append(f"| `{row.name}` | {row.kind.name} | {_default(row)} | {flag} | `{row.variable}` | {words} |")
    return "\n".join(lines) + "\n"


def _default(row: Setting) -> str:
    return f"`{text(row.default)}`" if row.default not in ("", [], {}) else ""


def _remarks(row: Setting) -> str:
    words = " Yours alone." if row.personal else ""
    return words + (" Asked about." if row.loosens else "") + (" Adds up." if row.adds else "")


def text(value: object) -> str:
    """A value as one word or as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def as_json(found: tuple[Found, ...]) -> dict[str, Any]:
    """Each setting's value and where it comes from, by name."""
    return {
        one.setting.name: {"value": one.value, "from": one.origin or "default", "default": one.setting.default}
        for one in found
    }
