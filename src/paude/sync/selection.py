"""What goes out: decided on the laptop, at the start, from what git ignores and from what looks like a secret.

The order is the precedence, the last pattern that matches decides: git's own rules, then secrets (which `.gitignore`
cannot release), then `.paudeignore` (which can), then what never travels: version control directories.
Nothing that comes from the pod changes it while the session lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio.to_thread

from paude.errors import CommandFailed, UsageError
from paude.process import ToolMissing, quiet_environment, run
from paude.sync import patterns, secrets
from paude.sync.patterns import Matcher
from paude.sync.tree import Found, Kind, entries, stays

OWN_RULES = ".paudeignore"
# Version control, as a directory or (worktrees, submodules) as a file; and what is native code for this machine only.
NEVER = (".[gG][iI][tT]", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS/")
_LIST = ("ls-files", "-z", "--exclude-standard")
# Dependencies and what builds leave behind: large, made again at any time, and often native code for this machine.
BY_DEFAULT = (
    "node_modules/",
    ".venv/",
    "__pycache__/",
    ".DS_Store",
    "bower_components/",
    ".tox/",
    ".nox/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".gradle/",
    ".terraform/",
    ".next/",
    ".nuxt/",
    ".svelte-kit/",
    ".parcel-cache/",
    ".turbo/",
)


@dataclass(frozen=True)
class Size:
    """How much would travel."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Seen:
    """What a walk found to travel: its paths, directories too, in the order of the walk; what could not be listed."""

    paths: tuple[str, ...]
    unreadable: tuple[str, ...]
    size: Size


@dataclass(frozen=True)
class Outgoing:
    """What of a workspace stays at home: `ignores` in mutagen's syntax, `held_back` the files that look secret.

    `only` are the paths to which the user confined it, none for all. `included` are those that he released by command,
    `agreed` those of them that look secret. `seen` is what travelled by these rules when they were decided; None when
    nobody has looked.
    """

    ignores: tuple[str, ...]
    held_back: tuple[str, ...]
    only: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    agreed: tuple[str, ...] = ()
    seen: Seen | None = field(default=None, compare=False, repr=False)

    def matcher(self) -> Matcher:
        """The rules as something that can be asked."""
        return Matcher(self.ignores)


def check_workspace(workspace: Path) -> Path:
    """The workspace as a resolved path. Raises UsageError when it is none that anybody would want to share."""
    try:
        found = workspace.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise UsageError(f"there is no directory {workspace}", hint="name an existing project directory") from exc
    if not _is_text(str(found)):
        raise UsageError(f"the path {str(found)!a} is not text", hint="give the directory a name in UTF-8")
    if not found.is_dir():
        raise UsageError(f"{found} is not a directory", hint="name the project's directory")
    home = Path("~").expanduser().resolve()
    if found == home or found in home.parents:
        raise UsageError(
            f"{found} holds your home directory: everything in it would be sent",
            hint="name a project directory",
        )
    if not os.access(found, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"{found} cannot be read and written by you", hint="check its permissions")
    return found


def _is_text(path: str) -> bool:
    """Whether it can be written into objects and records, which hold UTF-8 and nothing else."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


async def outgoing(
    workspace: Path, only: tuple[str, ...] = (), included: tuple[str, ...] = (), agreed: tuple[str, ...] = ()
) -> Outgoing:
    """Decide what goes out of `workspace`, by its files as they are now; of all, or of the paths `only`.

    Also out go the paths `included`, but for what looks secret and is not `agreed` to.
    """
    ignored = await _ignored_by_git(workspace)
    chosen = await anyio.to_thread.run_sync(_decide, workspace, ignored, only)
    return await including(workspace, chosen, included, agreed)


async def including(workspace: Path, chosen: Outgoing, included: Iterable[str], agreed: Iterable[str]) -> Outgoing:
    """What was decided, and more paths released; its other rules stay as they were decided, whatever the files say."""
    more = Outgoing(
        chosen.ignores, chosen.held_back, chosen.only, _with(chosen.included, included), _with(chosen.agreed, agreed)
    )
    return await anyio.to_thread.run_sync(_including, workspace, more) if more.included else chosen


def _with(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *more}))


def looks_secret(workspace: Path, path: str) -> bool:
    """Whether a path is one that stays because of its name, or that of a directory above it, or of its content."""
    rules, parts = Matcher(secrets.patterns()), path.split("/")
    above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    file = workspace / path
    if any(rules.ignored(one, directory=True) for one in above) or rules.ignored(path, directory=file.is_dir()):
        return True
    if file.is_symlink() or not file.is_file() or file.stat().st_size > secrets.SNIFF_BYTES:
        return False
    return secrets.name_worth_a_look(file.name) and secrets.in_content(file.read_bytes())


def left_by_default(workspace: Path) -> tuple[str, ...]:
    """The directories of dependencies and builds that stay here without a rule of the user's, from the upper levels."""
    rules = Matcher(BY_DEFAULT)
    found = []
    for directory in (workspace, *(d for d in workspace.iterdir() if d.is_dir() and not d.is_symlink())):
        if rules.ignored(directory.name, directory=True):
            continue
        names = [d.name for d in directory.iterdir() if d.is_dir() and not d.is_symlink()]
        found += [str((directory / n).relative_to(workspace)) for n in names if rules.ignored(n, directory=True)]
    return tuple(sorted(found))


async def look(workspace: Path, chosen: Outgoing) -> Seen:
    """What would be sent: as it was when that was decided, or by a walk now."""
    return await anyio.to_thread.run_sync(_look, workspace, chosen) if chosen.seen is None else chosen.seen


async def measure_of(workspace: Path, paths: Iterable[str]) -> Size:
    """How many files, and bytes, these are; a directory counts as nothing, for what is in it is named itself."""

    def count() -> Size:
        files = [f for f in ((workspace / path) for path in paths) if f.is_symlink() or f.is_file()]
        return Size(len(files), sum(f.lstat().st_size for f in files))

    return await anyio.to_thread.run_sync(count)


async def newly_sent(workspace: Path, before: Outgoing, now: Outgoing) -> tuple[str, ...]:
    """The paths that go out by the rules `now` and did not by those `before`: shown and asked for, never just done."""
    return await anyio.to_thread.run_sync(_newly_sent, workspace, before, now)


@dataclass(frozen=True)
class _Git:
    """What git says: its rule files beside the tree and in it, what it ignores, what it tracks although a rule matches.

    `nested` is None without git.
    """

    rule_files: tuple[Path, ...] = ()
    nested: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = ()
    tracked: tuple[str, ...] = ()


async def _ignored_by_git(workspace: Path) -> _Git:
    try:
        exclude = (await _git(workspace, "rev-parse", "--git-path", "info/exclude")).decode().strip()
        rules = (":(glob)**/.gitignore",)
        nested = await _git(workspace, *_LIST, "--cached", "--others", "--", *rules)
        ignored = await _git(workspace, *_LIST, "--ignored", "--others", "--directory", "--", ".")
        tracked = await _git(workspace, *_LIST, "--ignored", "--cached", "--", ".")
        everywhere = await _git(workspace, "config", "--type=path", "--get", "core.excludesFile", check=False)
    except (CommandFailed, ToolMissing):
        return _Git()
    shared = Path(os.fsdecode(everywhere).strip() or _default_excludes())
    return _Git((shared, workspace / exclude), _paths(nested), _paths(ignored), _paths(tracked))


def _default_excludes() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "git" / "ignore"


async def _git(workspace: Path, *words: str, check: bool = True) -> bytes:
    guarded = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    environment = quiet_environment(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    return (await run(["git", "-C", workspace, *guarded, *words], env=environment, check=check)).stdout


def _paths(listing: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(p) for p in listing.split(b"\0") if p)


def _decide(workspace: Path, git: _Git, only: tuple[str, ...]) -> Outgoing:
    by_git = [*BY_DEFAULT, *_rules(workspace, git), *(f"!{patterns.literal(path)}" for path in git.tracked)]
    guessed = secrets.patterns()
    own = _read_rules(workspace / OWN_RULES, "")
    never = (*patterns.all_but(only), *NEVER)
    search = _Search((*by_git, *own, *never), (*by_git, *guessed, *own, *never), own)
    found = search.of(workspace)
    stay = (patterns.literal(path) for path in (*found.by_content, *found.excepted))
    return Outgoing((*by_git, *guessed, *stay, *own, *never), found.held_back, only, seen=found.seen)


def _including(workspace: Path, chosen: Outgoing) -> Outgoing:
    """The rules that release come last but for what never travels; below what is released, secrets stay."""
    last = (*patterns.all_but(chosen.only), *NEVER)
    released = patterns.releasing(chosen.included, chosen.matcher())
    again = tuple(one for path in chosen.included for one in patterns.below(path, secrets.patterns()))
    before, after = (*chosen.ignores, *released), (*chosen.ignores, *released, *again)
    allowed = patterns.releasing(chosen.agreed, Matcher(after))
    found = _Search((*before, *last), (*after, *allowed, *last), allowed).of(workspace)
    ways = [(path, f"{path}/") for path in chosen.included]
    inside = [one for one in found.by_content if any(one == path or one.startswith(below) for path, below in ways)]
    held = tuple(patterns.literal(one) for one in inside)
    ignores = (*after, *held, *patterns.releasing(chosen.agreed, Matcher((*after, *held))), *last)
    held_back = _with(chosen.held_back, (*found.by_name, *inside))
    return replace(chosen, ignores=ignores, held_back=held_back, seen=None)


def _rules(workspace: Path, git: _Git) -> list[str]:
    """All rules of git in the order of their precedence, and what git ignores in a way that is not understood here."""
    rules: list[str] = []
    for file in git.rule_files:
        rules += _read_rules(file, "")
    for directory in _with_rules(workspace, git):
        rules += _read_rules(workspace / directory / ".gitignore", directory)
    known = Matcher(rules)
    return rules + [_exactly(path) for path in git.ignored if not _covered(path, known)]


def _with_rules(workspace: Path, git: _Git) -> list[str]:
    """The directories that have a .gitignore, outer ones first; a tree without git is looked through for them."""
    nested = git.nested
    if nested is None:
        top = Matcher((*BY_DEFAULT, *_read_rules(workspace / ".gitignore", ""), *NEVER))
        nested = tuple(found.path for found in entries(workspace, top) if found.name == ".gitignore")
    return sorted({path.rpartition("/")[0] for path in nested} | {""})


def _exactly(path: str) -> str:
    return patterns.literal(path.rstrip("/")) + ("/" if path.endswith("/") else "")


def _covered(path: str, matcher: Matcher) -> bool:
    parts = path.rstrip("/").split("/")
    above = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(matcher.ignored(p, directory=True) for p in above) or matcher.ignored(
        "/".join(parts), directory=path.endswith("/")
    )


def _read_rules(file: Path, directory: str) -> tuple[str, ...]:
    """The patterns of a file in git's grammar; a link is not followed, as git does not either."""
    try:
        if file.is_symlink():
            return ()
        text = file.read_text("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError:
        return ()
    return patterns.from_git(text.split("\n"), directory)


@dataclass(frozen=True)
class _Searched:
    """Paths that look secret by name (a directory stands for what is in it) and files by content; what travels.

    `excepted` are those that git ignores, and that an exception from the secret names would let out.
    """

    by_name: tuple[str, ...]
    by_content: tuple[str, ...]
    excepted: tuple[str, ...]
    seen: Seen

    @property
    def held_back(self) -> tuple[str, ...]:
        """All that looks secret."""
        return tuple(sorted((*self.by_name, *self.by_content)))


@dataclass(frozen=True)
class _Search:
    """One walk for all secrets: through what travels by the rules `without` looking for any, judged by `after`."""

    without: tuple[str, ...]
    after: tuple[str, ...]
    own: tuple[str, ...]

    def of(self, workspace: Path) -> _Searched:
        """What a walk finds."""
        without, after = Matcher(self.without), Matcher(self.after)
        by_name: list[str] = []
        by_content: list[str] = []
        excepted: list[str] = []
        counting = _Counting()
        below = "\0"
        for one in entries(workspace, _Both(without, after), counting.unreadable):
            if one.path.startswith(below):
                continue
            if after.ignored(one.path, directory=one.is_directory):
                stays = by_name
            elif secrets.is_excepted(one.name) and without.ignored(one.path, directory=one.is_directory):
                stays = excepted
            elif _holds_key(one) and not self._released(one.path):
                stays = by_content
            else:
                counting.add(one)
                continue
            stays.append(one.path)
            below = one.path + "/" if one.is_directory else "\0"
        return _Searched(tuple(by_name), tuple(by_content), tuple(excepted), counting.seen())

    def _released(self, path: str) -> bool:
        return not Matcher((patterns.literal(path), *self.own)).ignored(path, directory=False)


def _holds_key(found: Found) -> bool:
    if found.kind is not Kind.FILE or not secrets.name_worth_a_look(found.name):
        return False
    try:
        with found.open() as file:
            content = file.read(secrets.SNIFF_BYTES + 1)
    except OSError:
        return False
    return len(content) <= secrets.SNIFF_BYTES and secrets.in_content(content)


def _look(workspace: Path, chosen: Outgoing) -> Seen:
    counting = _Counting()
    for one in entries(workspace, chosen.matcher(), counting.unreadable):
        counting.add(one)
    return counting.seen()


class _Counting:
    """What a walk has met so far that travels."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []
        self._paths: list[str] = []
        self._files = self._bytes = 0

    def add(self, one: Found) -> None:
        """One more; a link that leaves the tree does not travel."""
        if not stays(one):
            return
        self._paths.append(one.path)
        if not one.is_directory:
            self._files += 1
            self._bytes += one.size()

    def seen(self) -> Seen:
        """All of it."""
        return Seen(tuple(self._paths), tuple(self.unreadable), Size(self._files, self._bytes))


@dataclass(frozen=True)
class _Both:
    """Ignores what two sets of rules ignore."""

    one: Matcher
    other: Matcher

    def ignored(self, path: str, *, directory: bool) -> bool:
        return self.one.ignored(path, directory=directory) and self.other.ignored(path, directory=directory)


def _newly_sent(workspace: Path, before: Outgoing, now: Outgoing) -> tuple[str, ...]:
    old = {e.path for e in entries(workspace, before.matcher())}
    return tuple(e.path for e in entries(workspace, now.matcher()) if e.path not in old)
