"""docs/troubleshooting.md is by message: each is still in the code, with the exit code that is written beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import commands_in, options, parsed
from paude import errors, process
from paude.ssh import connection
from paude.sync import session

CHECKOUT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^### `(.+)` \((\d+)\)$", (CHECKOUT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
KINDS = {
    name: kind.exit_code
    for module in (errors, process, connection, session)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, errors.PaudeError)
}
# They quote a program, or the user's own interruption.
QUOTING = {"CommandFailed", "StepFailed", "Interrupted"}
# What ends a session's work or keeps it from beginning, and is not about the words that were typed just now.
SERIOUS = {3, 6, 7, 9, 10, 255}


def template(node: ast.expr) -> str | None:
    """A pattern that matches what the expression may become, None when it has no words of its own."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value.replace("`", ""))
    if isinstance(node, ast.JoinedStr):
        texts = (str(one.value).replace("`", "") if isinstance(one, ast.Constant) else None for one in node.values)
        return "".join(".*" if text is None else re.escape(text) for text in texts)
    return None


def raised() -> Iterator[tuple[str, str, bool]]:
    """Kind and pattern of every error that the code makes with a text, and whether that says what to do."""
    for file in sorted((CHECKOUT / "src/paude").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                hinted = any(one.arg == "hint" for one in node.keywords)
                yield node.func.id, template(node.args[0]) or "", hinted


def messages() -> Iterator[tuple[str, int | None]]:
    """What the code raises, and with which exit code; None for a text that is put together before it is raised."""
    for kind, pattern, _ in raised():
        yield pattern, KINDS[kind]
    for file in sorted((CHECKOUT / "src/paude").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "what":
                yield template(node.value) or "", None


MESSAGES = [(re.compile(pattern), code) for pattern, code in messages() if len(pattern.replace(".*", "")) > 8]


def test_there_are_messages_and_headings() -> None:
    assert len(MESSAGES) > 100
    assert len(HEADINGS) > 40
    assert len({words for words, _ in HEADINGS}) == len(HEADINGS)


@pytest.mark.parametrize(("words", "code"), HEADINGS, ids=[words for words, _ in HEADINGS])
def test_a_message_of_the_document_is_in_the_code(words: str, code: str) -> None:
    codes = {known for pattern, known in MESSAGES if pattern.fullmatch(words)}
    assert codes, "no error says that any more"
    assert int(code) in codes or None in codes


def told(pattern: str) -> bool:
    """Whether the document has that message."""
    return any(re.fullmatch(pattern, words) for words, _ in HEADINGS)


def test_every_kind_of_error_has_a_message_in_the_document() -> None:
    kinds = {kind for kind, pattern, _ in raised() if pattern.replace(".*", "")}
    assert len(kinds) > 15
    assert kinds - {kind for kind, pattern, _ in raised() if told(pattern)} - QUOTING == set()


def test_what_keeps_a_session_from_its_work_and_can_be_helped_is_in_the_document() -> None:
    serious = {pattern for kind, pattern, hinted in raised() if KINDS[kind] in SERIOUS and hinted and pattern}
    assert len(serious) > 20
    assert [pattern for pattern in sorted(serious) if not told(pattern)] == []


def said() -> Iterator[str]:
    """Every text in the code; what is put in is an `x`."""
    for file in sorted((CHECKOUT / "src/paude").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_command_that_a_text_tells_to_give_is_one() -> None:
    told = [words for text in said() for words in commands_in(text)]
    assert len(told) > 100
    assert {" ".join(words): why for words in told if (why := parsed(words))} == {}


def hints() -> Iterator[str]:
    for file in sorted((CHECKOUT / "src/paude").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                yield ast.unparse(node.value)


def test_every_option_that_a_hint_names_exists() -> None:
    named = {one for hint in hints() if "kubectl" not in hint for one in re.findall(r"(?<![\w-])--[a-z][a-z-]+", hint)}
    assert len(named) > 10
    assert named - options() == set()


def test_a_message_that_nobody_says_is_noticed() -> None:
    assert not any(pattern.fullmatch("the moon cannot be reached by this") for pattern, _ in MESSAGES)
