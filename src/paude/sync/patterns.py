"""Ignore patterns: from git's grammar into mutagen's, and a matcher that reads mutagen's as mutagen does. Pure.

Mutagen's grammar (its package core/ignore/mutagen, doublestar v4): the last pattern that matches decides, `!` releases,
a pattern without a slash is tried on the last part of a path too, `/` in front anchors, `/` at the end means a
directory, `**` alone between slashes is any number of parts; nothing below an ignored directory is looked at. A class
like `[^a]` takes a slash, which git's never does: it is `[^/a]` here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

# What stands in brackets: anything at first, then no bracket; behind a backslash anything.
_CLASS = re.compile(r"((?:\\.|[^\\\[])(?:\\.|[^\\\[\]])*)\]", re.DOTALL)
_SPECIAL = re.compile(r"([\\*?\[\]{}!])")


def literal(path: str) -> str:
    """The pattern that matches exactly `path` (relative to the root) and nothing else."""
    return "/" + _SPECIAL.sub(r"\\\1", path)


def all_but(paths: Iterable[str]) -> tuple[str, ...]:
    """Patterns that ignore everything except what lies at `paths`, below them, and the directories on the way there.

    None of them releases anything, so they go together with any others.
    """
    wanted = [path.split("/") for path in paths]
    return tuple(pattern for above in _ways(wanted) for pattern in _others(wanted, above))


def releasing(paths: Iterable[str], known: Matcher) -> tuple[str, ...]:
    """Patterns that let `paths`, and all below them, travel in spite of the rules `known`.

    Nothing below an ignored directory is looked at, so the directories on the way are opened, each for that one way.
    """
    wanted = sorted(set(paths))
    above = sorted(
        {"/".join(parts[:depth]) for parts in (p.split("/") for p in wanted) for depth in range(1, len(parts))}
    )
    opened: list[str] = []
    for directory in above:
        if directory.rpartition("/")[0] in opened or known.ignored(directory, directory=True):
            opened.append(directory)
    ways = [pattern for one in opened for pattern in (f"!{literal(one)}", f"{literal(one)}/*")]
    return (*ways, *(pattern for path in wanted for pattern in (f"!{literal(path)}", f"!{literal(path)}/**")))


def below(directory: str, patterns: Iterable[str]) -> tuple[str, ...]:
    """Patterns without a slash, confined to what lies below `directory`."""
    return tuple(
        ("!" if one.startswith("!") else "") + f"{literal(directory)}/**/{one.removeprefix('!')}" for one in patterns
    )


def _ways(wanted: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The directories of which only a part is wanted."""
    whole = {tuple(parts) for parts in wanted}
    above = {tuple(parts[:depth]) for parts in wanted for depth in range(len(parts))}
    return sorted(one for one in above if not any(one[:depth] in whole for depth in range(len(one) + 1)))


def _others(wanted: Sequence[Sequence[str]], above: tuple[str, ...]) -> Iterator[str]:
    """Patterns for all names in a directory but the wanted ones: globs know no other way to say `not`."""
    names = {parts[len(above)] for parts in wanted if tuple(parts[: len(above)]) == above}
    front = "".join(literal(part) for part in above) + "/"
    for start in sorted({name[:length] for name in names for length in range(len(name) + 1)}):
        following = {name[len(start)] for name in names if name.startswith(start) and len(name) > len(start)}
        begun = front + literal(start).removeprefix("/")
        if start and start not in names:
            yield begun
        yield f"{begun}[^/{''.join(map(_in_class, sorted(following)))}]*" if following else f"{begun}?*"


def _in_class(char: str) -> str:
    return "\\" + char if char in "\\]^-[!{}," else char


def from_git(lines: Iterable[str], directory: str = "") -> tuple[str, ...]:
    """The patterns of a gitignore file that lies in `directory` (relative to the root, `` for the root itself)."""
    found = (_one_from_git(line, directory) for line in lines)
    return tuple(pattern for pattern in found if pattern)


def _one_from_git(line: str, directory: str) -> str:
    text = _trimmed(line)
    negated = text.startswith("!")
    body = text.removeprefix("!")
    only_directories = body.endswith("/")
    body = _normal(body.rstrip("/") if only_directories else body)
    if not body or text.startswith("#") or not _valid(body):
        return ""
    anchored = "/" in body
    body = _within_a_part(body.removeprefix("/"))
    if directory:
        body = f"{literal(directory)}/{body if anchored else '**/' + body}"
    elif anchored:
        body = "/" + body
    elif "/" in body:
        body = "**/" + body
    return ("!" if negated else "") + _escaped_front(body) + ("/" if only_directories else "")


def _trimmed(line: str) -> str:
    text = line.rstrip("\r\n")
    while text.endswith((" ", "\t")) and not _escaped_at_end(text):
        text = text[:-1]
    return text


def _escaped_at_end(text: str) -> bool:
    before = text[:-1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _normal(body: str) -> str:
    """Braces are letters to git; `a/**` would match `a` itself, and then nothing below it could be released."""
    text = re.sub(r"(?<!\\)([{}])", r"\\\1", body)
    text = re.sub(r"(?:/\*\*)+$", "/*", text)
    return "*" if text == "**" else text


def _within_a_part(body: str) -> str:
    """Of a pattern that can be read: a class of what may not be there takes no slash either."""
    pieces = _pieces(body)
    return "".join(f"[^/{one[2:]}" if one.startswith(("[!", "[^")) else one for one in pieces)


def _valid(body: str) -> bool:
    """A pattern that cannot be read matches nothing, in git as here."""
    try:
        re.compile(_regex(body))
    except (ValueError, re.error):
        return False
    return bool(body.strip("/"))


def _escaped_front(body: str) -> str:
    return "\\" + body if body.startswith("!") else body


@dataclass(frozen=True)
class _Group:
    """Neighbouring patterns of one kind: by the last part of a path (most are), and by all of it."""

    negated: bool
    names: re.Pattern[str] | None
    paths: re.Pattern[str] | None
    directory_names: re.Pattern[str] | None
    directory_paths: re.Pattern[str] | None

    def matches(self, path: str, name: str, *, directory: bool) -> bool:
        if (self.names and self.names.fullmatch(name)) or (self.paths and self.paths.fullmatch(path)):
            return True
        if not directory:
            return False
        hit = self.directory_names and self.directory_names.fullmatch(name)
        return bool(hit or (self.directory_paths and self.directory_paths.fullmatch(path)))


class Matcher:
    """Tells of a path what mutagen will do with it, given the same patterns."""

    def __init__(self, patterns: Sequence[str]) -> None:
        # Neighbours become one expression: a tree is matched in few steps, however many patterns there are.
        runs = groupby(patterns, key=lambda pattern: pattern.startswith("!"))
        self._groups = [_group(negated, [p.removeprefix("!") for p in bodies]) for negated, bodies in runs]

    def ignored(self, path: str, *, directory: bool) -> bool:
        """Whether `path` (slash-separated, relative to the root) itself is ignored; its parents are the caller's."""
        decided = False
        name = path.rpartition("/")[2]
        for group in self._groups:
            if decided is group.negated and group.matches(path, name, directory=directory):
                decided = not decided
        return decided


def _group(negated: bool, bodies: list[str]) -> _Group:
    anything = [body for body in bodies if not body.endswith("/")]
    directories = [body.rstrip("/") for body in bodies if body.endswith("/")]
    kinds = ((_names, anything), (_paths, anything), (_names, directories), (_paths, directories))
    return _Group(negated, *(_union(chosen(some)) for chosen, some in kinds))


def _names(bodies: list[str]) -> list[str]:
    return [body for body in bodies if "/" not in body]


def _paths(bodies: list[str]) -> list[str]:
    return [body.removeprefix("/") for body in bodies if "/" in body]


def _union(bodies: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_regex, bodies)), re.DOTALL) if bodies else None


@lru_cache(maxsize=4096)
def _regex(body: str) -> str:
    """The expression of a doublestar pattern without braces. Raises ValueError for an open bracket or a last `\\`."""
    parts = _parts(body)
    out = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            out += ".*" if last and number == 0 else ("" if last else "(?:.*/)?")
            if last and number:
                out = out.removesuffix("/") + "(?:/.*)?"
            continue
        out += _part(part) + ("" if last else "/")
    return out


def _parts(body: str) -> list[str]:
    """The parts of a path; a slash in brackets separates none."""
    parts = [""]
    for piece in _pieces(body):
        if piece == "/":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _pieces(body: str) -> Iterator[str]:
    """A pattern in letters, wildcards and classes. Raises ValueError for an open bracket or a last `\\`."""
    at = 0
    while at < len(body):
        _, end = _token(body, at)
        yield body[at:end]
        at = end


def _part(part: str) -> str:
    out, at = "", 0
    while at < len(part):
        piece, at = _token(part, at)
        out += piece
    return out


def _token(part: str, at: int) -> tuple[str, int]:
    char = part[at]
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _bracket(part, at)
    if char == "\\":
        if at + 1 >= len(part):
            raise ValueError("a pattern ends with a backslash")
        return re.escape(part[at + 1]), at + 2
    return re.escape(char), at + 1


def _bracket(part: str, at: int) -> tuple[str, int]:
    start = at + 1
    negated = part[start : start + 1] in ("!", "^")
    found = _CLASS.match(part, start + negated)
    if found is None:
        raise ValueError("a bracket that cannot be read")
    inner = re.sub(r"\\(.)|([\^&~|\]])", lambda one: re.escape(one[1] or one[2]), found[1], flags=re.DOTALL)
    return f"[{'^' if negated else ''}{inner}]", found.end()
