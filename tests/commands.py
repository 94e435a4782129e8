"""Commands of paude in texts, and whether the command line takes them. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from paude.cli.app import app


def commands_in(text: str) -> list[list[str]]:
    """The commands of paude in code, without what a shell takes away; `paude` in prose is the program, no command."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^#.*$", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), flags=re.MULTILINE)
    pieces = [line for language, block in fences if language in {"", "sh"} for line in block.splitlines()]
    pieces += re.findall(r"`(paude[^`\n]*)`", prose)
    return [words for piece in pieces for words in _split(piece)]


def _split(line: str) -> Iterator[list[str]]:
    """The commands of paude in one line of a shell."""
    tokens = shlex.shlex(line.replace("…", "x"), posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    words: list[str] = []
    try:
        for token in [*tokens, ";"]:
            if token.startswith("$("):
                yield from _split(token[2:-1])
            if set(token) <= set("();<>|&"):
                if words[:1] == ["paude"]:
                    yield words[1:]
                words = []
            else:
                words.append(token)
    except ValueError as error:
        raise AssertionError(f"{line!r}: {error}") from error


def parsed(words: list[str]) -> str:
    """What the command line says against the words; nothing when it takes them. Runs nothing."""
    optional = [word.strip("[]") for word in words[: words.index("--") if "--" in words else None]]
    optional = [word for word in optional if word not in {"--help", "--version", "VERB"}]
    if not optional:
        return ""
    group: Any = get_command(app)
    context = group.make_context("paude", optional[:1])
    while True:
        command = group.get_command(context, optional[0])
        if command is None:
            return f"there is no {optional[0]}"
        optional = optional[1:]
        if not hasattr(command, "commands") or not optional:
            break
        group = command
    try:
        command.make_context("paude", list(optional), resilient_parsing=not optional)
    except Exception as refusal:  # noqa: BLE001 -- whatever the parser says
        named_alone = "".join(optional[-1:]).startswith("--") and "requires an argument" in str(refusal)
        return "" if named_alone else str(refusal)
    return ""


def verbs(command: Any = None, name: str = "paude") -> Iterator[tuple[str, Any]]:
    """Every verb, by its whole name."""
    command = command or get_command(app)
    if not hasattr(command, "commands"):
        yield name, command
        return
    context = command.context_class(command)
    for inner in command.list_commands(context):
        yield from verbs(command.get_command(context, inner), f"{name} {inner}")


def options() -> frozenset[str]:
    """The options of all verbs."""
    return frozenset(option for _, verb in verbs() for one in verb.params for option in one.opts)
