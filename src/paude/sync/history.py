"""Git history of both sides: it travels by git and never by sync.

Out: a bundle of what the laptop has, from which the agent makes its own repository. In: fetched from the agent's sshd
as from any hostile remote, into `refs/paude/NAME/` and nowhere else. No hook of either side runs.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import anyio
import anyio.to_thread

from paude import report
from paude.errors import CommandFailed, ConnectionLost
from paude.settings import Paths
from paude.ssh import openssh
from paude.sync.git import alone, answer, git, git_path, is_repository

POD_REPOSITORY = "/workspace"
# Refs of a bundle that name the commits at which a shallow history ends; bundles know no other way to say it.
SHALLOW_REFS = "refs/paude/shallow"
SHALLOW_DEPTH = 50
_NO_HEAD = "couldn't find remote ref HEAD"


@dataclass(frozen=True)
class Fetched:
    """A ref under `refs/paude/NAME/` and the commit that it is at."""

    ref: str
    commit: str


def prefix(name: str) -> str:
    """Where the commits of session `name` are kept."""
    return f"refs/paude/{name}"


async def size(workspace: Path) -> int:
    """About how many bytes the history has, from git's own count; 0 without a repository."""
    if not await is_repository(workspace):
        return 0
    counted = dict(line.split(": ", 1) for line in (await answer(workspace, "count-objects", "-v")).splitlines())
    return 1024 * (int(counted.get("size", 0)) + int(counted.get("size-pack", 0)))


async def pack(workspace: Path, directory: Path, *, limit: int = 0) -> Path | None:
    """Pack HEAD, branches and the tags that they reach into `directory`/history.bundle.

    None when there is no repository or no commit: the agent then works without history. The branch of HEAD comes
    first, which is how the other end knows it. Of a history of more than `limit` bytes (0: none is too large) only the
    last commits of HEAD go out.
    """
    if not await is_repository(workspace):
        return None
    await anyio.Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    if limit and await size(workspace) > limit and not await _shallow_ends(workspace):
        with TemporaryDirectory(prefix="paude-history-", dir=directory) as short:
            if await _shortened(workspace, Path(short)):
                report.line(f"the git history is large: its last {SHALLOW_DEPTH} commits go out")
                return await _packed(Path(short), directory)
    return await _packed(workspace, directory)


async def _shortened(workspace: Path, short: Path) -> bool:
    """Make a repository of the last commits of HEAD; False when git cannot."""
    source = f"file://{quote(str(await anyio.Path(workspace).resolve()))}"
    options = ("--bare", "--no-tags", "--single-branch", f"--depth={SHALLOW_DEPTH}", "-q")
    made = await git(workspace, "-c", "protocol.file.allow=always", "clone", *options, "--", source, short, check=False)
    return made.returncode == 0


async def _packed(workspace: Path, directory: Path) -> Path | None:
    if not await answer(workspace, "rev-parse", "--verify", "-q", "HEAD"):
        return None
    bundle = directory / "history.bundle"
    branch = await answer(workspace, "symbolic-ref", "-q", "HEAD")
    tags = await answer(workspace, "for-each-ref", "--format=%(refname)", "--merged=HEAD", "refs/tags")
    refs = ["HEAD", *filter(None, [branch]), "--branches", *tags.split()]
    try:
        await git(workspace, "bundle", "create", "-q", bundle, *refs)
    except CommandFailed as exc:
        report.line(f"the agent gets no git history, it cannot be packed: {exc.why}")
        return None
    ends = await _shallow_ends(workspace)
    if ends:
        await anyio.to_thread.run_sync(_tell_ends, bundle, ends)
    return bundle


async def _shallow_ends(workspace: Path) -> tuple[str, ...]:
    file = anyio.Path(await git_path(workspace, "shallow"))
    return tuple((await file.read_text()).split()) if await file.exists() else ()


def _tell_ends(bundle: Path, ends: Sequence[str]) -> None:
    """Write the ends of a shallow history into the header of a bundle."""
    fresh = bundle.with_suffix(".new")
    with bundle.open("rb") as old, fresh.open("wb") as new:
        while (line := old.readline()) != b"\n":
            new.write(line)
        for number, commit in enumerate(ends):
            new.write(f"{commit} {SHALLOW_REFS}/{number}\n".encode())
        new.write(b"\n")
        shutil.copyfileobj(old, new, 1024 * 1024)
    fresh.replace(bundle)


async def fetch(workspace: Path, name: str, paths: Paths, *, remote: str = "") -> tuple[Fetched, ...]:
    """Fetch the agent's branches into `refs/paude/NAME/`; returns the refs that are new or moved.

    A ref that the agent rewrote moves too; where it was is in its reflog. Raises ConnectionLost when the agent cannot
    be reached, CommandFailed when git refuses what it offers.
    """
    if not await is_repository(workspace):
        return ()
    async with alone(workspace):
        before = await _refs(workspace, name)
        try:
            await _fetch(workspace, name, paths, remote, head=True)
        except CommandFailed as exc:
            if _NO_HEAD not in exc.stderr:
                raise _explained(exc) from exc
            await _fetch(workspace, name, paths, remote, head=False)
        after = await _refs(workspace, name)
    return tuple(Fetched(ref, commit) for ref, commit in after.items() if before.get(ref) != commit)


async def _fetch(workspace: Path, name: str, paths: Paths, remote: str, *, head: bool) -> None:
    into = prefix(name)
    options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-show-forced-updates", "-q")
    refs = (f"+refs/heads/*:{into}/*", *((f"+HEAD:{into}/HEAD",) if head else ()))
    await over_ssh(workspace, paths, "fetch", *options, "--", remote or remote_of(name), *refs)


async def missing(workspace: Path, commits: Iterable[str]) -> tuple[str, ...]:
    """Those of `commits` that this repository does not have as commits; a name with white space is none."""
    asked = tuple(commits)
    words = "".join(f"{commit}^{{commit}}\n" for commit in asked)
    answers = (await git(workspace, "cat-file", "--batch-check=%(objecttype)", stdin=words.encode())).text.splitlines()
    return tuple(commit for commit, found in zip(asked, answers, strict=True) if found != "commit")


async def over_ssh(workspace: Path, paths: Paths, *words: str) -> str:
    """A git command that speaks with the agent's sshd; gives what it prints. Raises CommandFailed."""
    ssh = shlex.join(openssh.words(paths))
    only = ("-c", "protocol.ssh.allow=always")
    return (await git(workspace, *only, *words, GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT="ssh")).text


def remote_of(name: str) -> str:
    """The agent's repository, as git is told of it."""
    return f"{name}.paude:{POD_REPOSITORY}"


async def branches(workspace: Path, name: str) -> tuple[str, ...]:
    """The refs of the agent's branches that were fetched; without any it works without history."""
    return tuple(await _refs(workspace, name))


async def _refs(workspace: Path, name: str) -> dict[str, str]:
    listing = await answer(workspace, "for-each-ref", "--format=%(refname) %(objectname)", prefix(name))
    pairs = (line.partition(" ") for line in listing.splitlines())
    return {ref: commit for ref, _, commit in pairs}


def _explained(exc: CommandFailed) -> Exception:
    if "Could not read from remote repository" in exc.stderr or "no way to the supervisor" in exc.stderr:
        return ConnectionLost("the agent's repository cannot be reached", why=exc.why)
    return exc
