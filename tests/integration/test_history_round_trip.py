"""Git history out by bundle and in over a real sshd, from a repository that does what it can to run something."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paude.errors import ConnectionLost
from paude.settings import Paths
from paude.sync import history
from paude.sync.advance import advance
from sync_peer import NAME, Peer, peer

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")


def git(where: Path, *words: str | Path, check: bool = True) -> str:
    done = subprocess.run(["git", "-C", where, *IDENTITY, *words], capture_output=True, text=True, check=check)
    return done.stdout.strip()


def commit(where: Path, **files: str) -> str:
    for name, content in files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(content)
        git(where, "add", "-f", "--", name)
    git(where, "commit", "-qm", f"change {' '.join(files)}")
    return git(where, "rev-parse", "HEAD")


def unpack(bundle: Path, pod: Path) -> None:
    """What the agent's container does with a bundle."""
    git(pod, "init", "-q")
    git(pod, "fetch", "-q", "--update-head-ok", bundle, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
    git(pod, "read-tree", "HEAD")


HOOKS = (
    "reference-transaction",
    "post-checkout",
    "post-merge",
    "pre-auto-gc",
    "post-index-change",
    "post-rewrite",
    "update",
)


def plant_hooks(repository: Path, evidence: Path) -> None:
    for hook in [
        "reference-transaction",
        "post-checkout",
        "post-merge",
        "pre-auto-gc",
        "post-index-change",
        "post-rewrite",
        "update",
    ]:
        file = Path(git(repository, "rev-parse", "--git-path", f"hooks/{hook}"))
        file = repository / file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\necho {hook} >> {evidence}\n")
        file.chmod(0o755)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Peer]:
    with peer(tmp_path) as found:
        git(found.laptop, "init", "-q")
        yield found


async def joined(both: Peer, **files: str) -> str:
    """Both ends with the same first commit; returns it."""
    first = commit(both.laptop, **(files or {"f": "one"}))
    bundle = await history.pack(both.laptop, both.paths.session(NAME))
    assert bundle is not None
    unpack(bundle, both.pod)
    return first


def carry(both: Peer) -> None:
    """What the sync would do."""
    subprocess.run(["cp", "-r", "--", *[p for p in both.pod.iterdir() if p.name != ".git"], both.laptop], check=True)


async def test_a_commit_of_the_agent_arrives_and_the_branch_follows(both: Peer) -> None:
    await joined(both)
    made = commit(both.pod, f="two", g="new")
    fetched = await history.fetch(both.laptop, NAME, both.paths)
    assert {(f.ref, f.commit) for f in fetched} == {(f"refs/paude/{NAME}/{r}", made) for r in ("main", "HEAD")}
    carry(both)
    moved = await advance(both.laptop, NAME)
    assert moved.moved, moved.why
    assert git(both.laptop, "rev-parse", "main") == made
    assert git(both.laptop, "status", "--porcelain") == ""


async def test_no_hook_and_no_setting_of_either_side_runs(both: Peer, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    await joined(both)
    plant_hooks(both.laptop, evidence)
    for key in ("core.fsmonitor", "uploadpack.packObjectsHook", "core.pager", "core.sshCommand", "credential.helper"):
        git(both.pod, "config", key, f"sh -c 'echo {key} >> {evidence}'")
    commit(both.pod, f="two")
    evidence.unlink(missing_ok=True)
    await history.fetch(both.laptop, NAME, both.paths)
    carry(both)
    assert (await advance(both.laptop, NAME)).moved
    assert await history.pack(both.laptop, both.paths.session(NAME))
    assert not evidence.exists(), evidence.read_text()


async def test_tags_and_other_refs_of_the_agent_do_not_arrive(both: Peer) -> None:
    await joined(both)
    made = commit(both.pod, f="two")
    git(both.pod, "tag", "v1")
    git(both.pod, "update-ref", "refs/notes/x", made)
    await history.fetch(both.laptop, NAME, both.paths)
    assert git(both.laptop, "tag") == ""
    assert git(both.laptop, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/notes") == "refs/heads/main"
    assert not (both.laptop / ".git" / "FETCH_HEAD").exists()


def with_git_directory(pod: Path) -> str:
    """A commit whose tree has a file `.git`, which git itself would never make."""
    tree = subprocess.run(
        ["git", "-C", pod, "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        input=b"100644 .git\0" + bytes.fromhex(git(pod, "rev-parse", "HEAD:f")),
        capture_output=True,
        check=True,
    ).stdout.decode()
    return git(pod, "commit-tree", tree.strip(), "-p", "HEAD", "-m", "evil")


async def test_a_broken_object_is_refused(both: Peer) -> None:
    await joined(both)
    git(both.pod, "update-ref", "refs/heads/evil", with_git_directory(both.pod))
    with pytest.raises(Exception, match=r"fsck|hasDotgit|\.git"):
        await history.fetch(both.laptop, NAME, both.paths)
    assert git(both.laptop, "for-each-ref", "refs/paude") == ""


HELD = (".envrc", ".claude/settings.json", "sub/.vscode/tasks.json", ".Husky/pre-commit", ".gitmodules")


@pytest.mark.parametrize("path", HELD)
async def test_no_branch_moves_while_its_range_touches_a_held_path(both: Peer, path: str) -> None:
    first = await joined(both)
    commit(both.pod, **{path: '[submodule "x"]\n\tpath = x\n\turl = ./x\n' if "modules" in path else "evil"})
    git(both.pod, "rm", "-q", path)
    git(both.pod, "commit", "-qm", "and it is gone again")
    await history.fetch(both.laptop, NAME, both.paths)
    stayed = await advance(both.laptop, NAME)
    assert not stayed.moved
    assert path in stayed.why
    assert git(both.laptop, "rev-parse", "main") == first


async def test_a_link_into_a_held_path_stops_the_branch(both: Peer) -> None:
    await joined(both)
    (both.pod / "innocent").symlink_to(".git/hooks")
    git(both.pod, "add", "innocent")
    git(both.pod, "commit", "-qm", "link")
    await history.fetch(both.laptop, NAME, both.paths)
    assert "link" in (await advance(both.laptop, NAME)).why


async def test_a_filter_stops_the_branch(both: Peer) -> None:
    await joined(both, **{".gitattributes": "*.bin filter=lfs\n"})
    commit(both.pod, **{"a.bin": "x"})
    await history.fetch(both.laptop, NAME, both.paths)
    assert "filter" in (await advance(both.laptop, NAME)).why


async def test_a_submodule_stops_the_branch(both: Peer, tmp_path: Path) -> None:
    await joined(both)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    made = commit(other, x="x")
    git(both.pod, "update-index", "--add", "--cacheinfo", f"160000,{made},vendor")
    git(both.pod, "commit", "-qm", "submodule")
    await history.fetch(both.laptop, NAME, both.paths)
    stayed = await advance(both.laptop, NAME)
    assert not stayed.moved
    assert "submodule: 'vendor'" in stayed.why


async def test_in_a_worktree_its_own_branch_moves(both: Peer, tmp_path: Path) -> None:
    main = tmp_path / "main-tree"
    main.mkdir()
    git(main, "init", "-q")
    commit(main, f="one")
    shutil.rmtree(both.laptop)
    git(main, "worktree", "add", "-q", "-b", "topic", both.laptop)
    assert (both.laptop / ".git").is_file()
    bundle = await history.pack(both.laptop, tmp_path / "packed")
    assert bundle is not None
    unpack(bundle, both.pod)
    git(both.pod, "symbolic-ref", "HEAD", "refs/heads/topic")
    made = commit(both.pod, f="two")
    (both.laptop / "f").write_text("two")
    await history.fetch(both.laptop, NAME, both.paths)
    assert (await advance(both.laptop, NAME)).moved
    assert git(both.laptop, "rev-parse", "HEAD") == made
    assert git(both.laptop, "status", "--porcelain") == ""
    assert git(main, "rev-parse", "main") != made


async def test_a_directory_without_git_has_no_history_and_needs_none(both: Peer) -> None:
    shutil.rmtree(both.laptop / ".git")
    git(both.pod, "init", "-q")
    commit(both.pod, f="one")
    assert await history.fetch(both.laptop, NAME, both.paths) == ()
    assert not (await advance(both.laptop, NAME)).moved
    assert not (both.laptop / ".git").exists()


async def test_a_commit_on_a_shortened_history_comes_home_to_the_whole_one(both: Peer, tmp_path: Path) -> None:
    git(both.laptop, "init", "-q")
    for number in range(history.SHALLOW_DEPTH + 3):
        commit(both.laptop, f=str(number))
    bundle = await history.pack(both.laptop, tmp_path / "packed", limit=1)
    assert bundle is not None
    listed = git(tmp_path, "bundle", "list-heads", str(bundle)).splitlines()
    ends = [line.split(" ")[0] for line in listed if history.SHALLOW_REFS in line]
    git(both.pod, "init", "-q")
    (both.pod / ".git" / "shallow").write_text("".join(f"{end}\n" for end in ends))
    unpack(bundle, both.pod)
    assert git(both.pod, "rev-list", "--count", "main") == str(history.SHALLOW_DEPTH)
    made = commit(both.pod, f="new")
    (both.laptop / "f").write_text("new")
    await history.fetch(both.laptop, NAME, both.paths)
    assert (await advance(both.laptop, NAME)).moved
    assert git(both.laptop, "rev-parse", "main") == made
    assert git(both.laptop, "rev-list", "--count", "main") == str(history.SHALLOW_DEPTH + 4)
    assert git(both.laptop, "fsck", "--connectivity-only") == ""


OBSTACLES = {
    "staged": lambda w: ((w / "s").write_text("x"), git(w, "add", "s")),
    "merge": lambda w: (w / ".git" / "MERGE_HEAD").write_text("x"),
    "rebase": lambda w: (w / ".git" / "rebase-merge").mkdir(),
    "a rebase": lambda w: (w / ".git" / "rebase-apply").mkdir(),
    "cherry-pick": lambda w: (w / ".git" / "CHERRY_PICK_HEAD").write_text("x"),
    "revert": lambda w: (w / ".git" / "REVERT_HEAD").write_text("x"),
    "bisect": lambda w: (w / ".git" / "BISECT_LOG").write_text("x"),
    "sequence": lambda w: (w / ".git" / "sequencer").mkdir(),
    "index": lambda w: (w / ".git" / "index.lock").write_text(""),
    "hides": lambda w: git(w, "update-index", "--skip-worktree", "f"),
    "went on here": lambda w: commit(w, other="x"),
    "no branch": lambda w: git(w, "checkout", "-q", "--detach"),
}


@pytest.mark.parametrize("why", OBSTACLES)
async def test_what_is_under_way_on_the_laptop_is_left_alone(both: Peer, why: str) -> None:
    await joined(both)
    made = commit(both.pod, f="two")
    OBSTACLES[why](both.laptop)
    before = git(both.laptop, "rev-parse", "HEAD")
    await history.fetch(both.laptop, NAME, both.paths)
    stayed = await advance(both.laptop, NAME)
    assert not stayed.moved
    assert why in stayed.why
    assert git(both.laptop, "rev-parse", "HEAD") == before
    assert git(both.laptop, "rev-parse", f"paude/{NAME}/main") == made, "the commit waits under refs/paude"


async def test_what_the_agent_rewrote_is_not_lost(both: Peer) -> None:
    await joined(both)
    lost = commit(both.pod, f="two")
    await history.fetch(both.laptop, NAME, both.paths)
    git(both.pod, "commit", "-q", "--amend", "-m", "rewritten")
    await history.fetch(both.laptop, NAME, both.paths)
    assert git(both.laptop, "rev-parse", f"paude/{NAME}/main@{{1}}") == lost


async def test_commits_that_were_not_fetched_are_known(both: Peer) -> None:
    await joined(both)
    there = git(both.pod, "rev-parse", "HEAD")
    git(both.pod, "checkout", "-qb", "work")
    made = commit(both.pod, f="two")
    assert await history.missing(both.laptop, [there, made]) == (made,)
    await history.fetch(both.laptop, NAME, both.paths)
    assert await history.missing(both.laptop, [there, made]) == ()


async def test_an_agent_without_a_commit_has_nothing_to_fetch(both: Peer) -> None:
    commit(both.laptop, f="one")
    git(both.pod, "init", "-q")
    assert await history.fetch(both.laptop, NAME, both.paths) == ()


async def test_an_agent_that_cannot_be_reached_is_a_lost_connection(both: Peer) -> None:
    await joined(both)
    (both.paths.state / "ssh_config").write_text("Host *\n  ProxyCommand false\n")
    with pytest.raises(ConnectionLost):
        await history.fetch(both.laptop, NAME, both.paths)


async def test_without_a_repository_or_a_commit_there_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    for name in ("plain", "empty"):
        assert await history.pack(tmp_path / name, tmp_path / "out") is None


async def test_a_worktree_gives_its_own_branch_first(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    git(tmp_path / "main", "init", "-q")
    commit(tmp_path / "main", f="one")
    git(tmp_path / "main", "worktree", "add", "-q", "-b", "topic", tmp_path / "tree")
    bundle = await history.pack(tmp_path / "tree", tmp_path / "out")
    heads = git(tmp_path, "bundle", "list-heads", str(bundle)).splitlines()
    assert [h.split(" ")[1] for h in heads][:3] == ["HEAD", "refs/heads/topic", "refs/heads/main"]


async def test_a_shallow_history_says_where_it_ends(tmp_path: Path) -> None:
    origin, shallow, pod = tmp_path / "origin", tmp_path / "shallow", tmp_path / "pod"
    origin.mkdir()
    pod.mkdir()
    git(origin, "init", "-q")
    for content in ("one", "two", "three"):
        commit(origin, f=content)
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{origin}", shallow)
    bundle = await history.pack(shallow, tmp_path / "out")
    ends = [
        line.split(" ")[0]
        for line in git(tmp_path, "bundle", "list-heads", str(bundle)).splitlines()
        if history.SHALLOW_REFS in line
    ]
    git(pod, "init", "-q")
    (pod / ".git" / "shallow").write_text("".join(f"{end}\n" for end in ends))
    git(pod, "fetch", "-q", "--update-head-ok", str(bundle), "refs/heads/*:refs/heads/*")
    assert git(pod, "rev-list", "--count", "main") == "2"


async def test_the_bundle_is_made_of_what_the_laptop_has_and_not_of_what_it_ignores(both: Peer, paths: Paths) -> None:
    await joined(both)
    git(both.laptop, "tag", "reached")
    commit(both.laptop, f="two")
    bundle = await history.pack(both.laptop, paths.state)
    assert "refs/tags/reached" in git(both.laptop, "bundle", "list-heads", str(bundle))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("s", "r", "c", "k")))
