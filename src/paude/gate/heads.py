"""What the agent's branches point to, read from git's files through the gate, which runs no git.

For an agent that is parked: its sshd is gone, and its commits may be here already. A form of repository that is not
known here is an error, never "nothing". Files as in gitrepository-layout(5) and git-pack-refs(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from paude.errors import PaudeError
from paude.gate.workspace import Workspace

_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MOST = 1000


async def heads(workspace: Workspace) -> frozenset[str]:
    """The commits of all branches and of HEAD. Raises PaudeError for what cannot be read or is not understood."""
    head = await workspace.read(".git/HEAD")
    if head.content is None:
        raise PaudeError("the agent's repository cannot be read", why=f".git/HEAD is {head.entry.kind}")
    if (await workspace.read(".git/reftable")).entry.kind != "absent":
        raise PaudeError("the agent's repository cannot be read", why="its references are in a reftable")
    loose = []
    listed = [entry async for entry in workspace.tree(".git/refs/heads")]
    for entry in listed:
        if entry.kind != "directory":
            loose.append((await workspace.read(entry.path)).content)
        if len(loose) > _MOST:
            raise PaudeError("the agent's repository has too many branches")
    packed = await workspace.read(".git/packed-refs")
    try:
        return commits(head.content, packed.content or b"", loose)
    except ValueError as exc:
        raise PaudeError("the agent's repository is not understood", why=str(exc)) from exc


def commits(head: bytes, packed: bytes, loose: Iterable[bytes | None]) -> frozenset[str]:
    """The commits that these files name. Raises ValueError for a file that is none of git's."""
    found = set()
    if not head.startswith(b"ref: refs/heads/"):  # else it is one of the branches
        found.add(_commit(head, "HEAD"))
    for content in loose:
        found.add(_commit(content or b"", "a branch"))
    for line in packed.splitlines():
        commit, _, name = line.partition(b" ")
        if name.startswith(b"refs/heads/"):
            found.add(_commit(commit, "packed-refs"))
    return frozenset(found)


def _commit(content: bytes, where: str) -> str:
    text = content.strip()
    if not _COMMIT.fullmatch(text):
        raise ValueError(f"{where} holds no commit")
    return text.decode()
