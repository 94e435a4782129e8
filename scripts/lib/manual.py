"""The manual page as troff on standard output: verbs and options from the parser, tables from docs/commands.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from typer.main import get_command

from paude import __version__
from paude.cli.app import app
from paude.settings.table import rows

TABLES = Path(__file__).parents[2] / "docs/commands.md"


def text(words: str) -> str:
    """`words` as text of a troff document: no request, no escape."""
    plain = words.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", plain, flags=re.MULTILINE)


def manual() -> Iterator[str]:
    """The page, line by line."""
    root: Any = get_command(app)
    does = str(root.help).partition("\n")[0].rstrip(".")
    yield f'.TH PAUDE 1 "{date.today()}" "paude {__version__}" "User Commands"'
    yield from (".SH NAME", text(f"paude - {does[0].lower()}{does[1:]}"))
    yield from (".SH SYNOPSIS", ".B paude", text("[VERB] [OPTIONS] [ARGUMENTS] [-- WORDS]"))
    yield from (".SH DESCRIPTION", text("Without a verb: the sessions, and what to do next."))
    yield from (text("Data goes to standard output, progress and messages to standard error."), ".SH VERBS")
    context = root.make_context("paude", ["start"])
    for name in root.list_commands(context):
        yield from verb((name,), root.get_command(context, name))
    yield from table("EXIT STATUS", "Exit codes")
    yield from table("ENVIRONMENT", "Environment")
    yield from settings()


def verb(names: tuple[str, ...], command: Any) -> Iterator[str]:
    """One verb, or the verbs of a group."""
    inner = getattr(command, "commands", None)
    if inner:
        for name, one in inner.items():
            if not one.hidden:
                yield from verb((*names, name), one)
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = command.collect_usage_pieces(command.context_class(command))
    yield from (".SS", text(f"paude {' '.join(names)} {' '.join(usage)}"))
    yield from (text(line) for line in (command.help or "").splitlines() if line.strip())
    for one in arguments:
        yield from (".TP", f".I {text(one.metavar)}", text(one.help or ""))
    for one in options:
        value = "" if one.is_flag else f" {one.metavar}"
        spellings = "/".join(part for part in (", ".join(one.opts), ", ".join(one.secondary_opts)) if part)
        yield from (".TP", f".B {text(spellings + value)}", text(one.help or ""))


def settings() -> Iterator[str]:
    """Every setting, by its name in files and its variable."""
    yield ".SH SETTINGS"
    for row in rows():
        words = f"{row.words} {f'{row.flag} ' if row.flag else ''}"
        yield from (".TP", f".B {text(f'{row.name}, {row.variable}')}", text(words.rstrip()))


def table(title: str, heading: str) -> Iterator[str]:
    """The first two columns of a table of the document."""
    section = TABLES.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    yield f".SH {title}"
    for first, second in rows[1:]:
        yield from (".TP", f".B {text(first)}", text(second))


if __name__ == "__main__":
    sys.stdout.write("\n".join(manual()) + "\n")
