"""The developer's commits in the agent's repository: pushed beside its branches; its branch moves where that is safe.

The same rules as at home: by ref and index only, when nothing is staged or in progress there. All of it runs in the
agent's container, as the agent; what that answers is shown and not believed.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator
from pathlib import Path

from anyio.streams.text import TextReceiveStream

from paude.process import clean, run, started
from paude.settings import Paths
from paude.ssh import openssh
from paude.sync import daemon
from paude.sync.git import alone, answer, git, git_path, is_repository
from paude.sync.history import POD_REPOSITORY, over_ssh, prefix, remote_of

INCOMING = "refs/paude/laptop"
_FORWARD = """\
cd {repository} && branch={branch} && new={new} || exit 1
[ "$(git symbolic-ref -q HEAD)" = "$branch" ] || {{ echo another branch is checked out there; exit 0; }}
old=$(git rev-parse -q --verify HEAD) || {{ echo its branch has no commit; exit 0; }}
[ "$old" != "$new" ] || exit 0
git merge-base --is-ancestor "$old" "$new" || {{ echo its branch went on too; exit 0; }}
for f in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply sequencer index.lock; do
[ ! -e "$(git rev-parse --git-path "$f")" ] || {{ echo "something is in progress there ($f)"; exit 0; }}
done
git diff-index --cached --quiet HEAD -- || {{ echo something is staged there; exit 0; }}
git update-ref -m 'paude: what the developer committed' "$branch" "$new" "$old" || exit 1
git reset -q --mixed || {{ git update-ref "$branch" "$old" "$new"; exit 1; }}
"""


async def ahead(workspace: Path, name: str) -> str:
    """The checked-out branch, when it has commits that the agent's had not when it was last fetched; else empty."""
    branch = await answer(workspace, "symbolic-ref", "-q", "--short", "HEAD") if await is_repository(workspace) else ""
    if not branch:
        return ""
    theirs = await answer(workspace, "rev-parse", "--verify", "-q", f"{prefix(name)}/{branch}^{{commit}}")
    here = await answer(workspace, "rev-parse", "--verify", "-q", "HEAD^{commit}")
    if not here or here == theirs:
        return ""
    behind = theirs and (await git(workspace, "merge-base", "--is-ancestor", here, theirs, check=False)).returncode == 0
    return "" if behind else branch


async def push(workspace: Path, name: str, paths: Paths, branch: str) -> str:
    """Send the branch to the agent's repository, under `refs/paude/laptop/`; returns its commit. No hook runs here.

    Raises CommandFailed when it cannot be sent.
    """
    async with alone(workspace):
        commit = await answer(workspace, "rev-parse", "--verify", "-q", f"refs/heads/{branch}^{{commit}}")
        options = ("--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed", "-q")
        target = f"+{commit}:{INCOMING}/{branch}"
        await over_ssh(workspace, paths, "push", *options, "--", remote_of(name), target)
    return commit


async def forward(name: str, paths: Paths, branch: str, commit: str) -> str:
    """Move the agent's branch to a commit that was pushed; the sync must have been flushed. Returns why not, if not.

    Raises CommandFailed when git fails there.
    """
    done = await run([*openssh.words(paths), f"{name}.paude", "--", forwarding(branch, commit)])
    return clean(done.text).strip().replace("\n", "; ")[:300]


def forwarding(branch: str, commit: str, repository: str = POD_REPOSITORY) -> str:
    """The shell script that moves a branch there to a commit, or prints why not and changes nothing."""
    words = {"repository": repository, "branch": f"refs/heads/{branch}", "new": commit}
    return _FORWARD.format(**{key: shlex.quote(value) for key, value in words.items()})


async def moves(workspace: Path) -> AsyncGenerator[None, None]:
    """Something once at first, and whenever a branch here may have moved; ends when it cannot be watched."""
    if not await is_repository(workspace):
        return
    argv: list[str | Path] = [daemon.binary(), "watch", await git_path(workspace, "refs")]
    async with started(argv) as child:
        assert child.stdout is not None
        async for _ in TextReceiveStream(child.stdout):
            yield
