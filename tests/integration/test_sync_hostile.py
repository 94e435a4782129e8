"""A sync agent that obeys no rule: what it reports is judged on the laptop, before anything is written there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostile import build, eye_on
from paude.sync import session
from paude.sync.guard import path_is_held
from sync_peer import NAME, Peer, synced, tree

EVIL = b"canary-of-the-hostile-agent"
PATHS = (
    ".git/hooks/post-checkout",
    ".GIT/config",
    "sub/.git",
    "sub/.g\u200cit/hooks/x",
    "sub/git~1/config",
    ".envrc",
    ".Env",
    ".vscode/tasks.json",
    "sub/.VSCode/settings.json",
    ".claude/settings.json",
    "sub/.mcp.json",
    ".husky/pre-commit",
    ".bashrc",
    "sub/Makefile.desktop",
    "sub/new\nline",
    "node_modules/x/index.js",
)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("hostile"))


def plant(pod: Path) -> None:
    for name in PATHS:
        (pod / name).parent.mkdir(parents=True, exist_ok=True)
        (pod / name).write_bytes(EVIL)
    for name, target in (("up", "../.."), ("etc", "/etc"), ("sub/hooks", "../.git/hooks"), ("rc", ".envrc")):
        (pod / name).symlink_to(target)
    for name in ("HEAD", "config"):
        (pod / "bare").mkdir(exist_ok=True)
        (pod / "bare" / name).write_bytes(EVIL)
    for name in ("objects", "refs"):
        (pod / "bare" / name).mkdir()


def holders(root: Path) -> list[str]:
    """The files below `root` that hold what the agent planted."""
    return [str(path) for path in root.rglob("*") if path.is_file() and EVIL in path.read_bytes()]


async def flushed(both: Peer) -> None:
    for _ in range(3):
        await session.flush(both.paths, NAME)


async def test_nothing_of_tier_1_is_on_the_laptop_for_a_moment(tmp_path: Path, agent: Path) -> None:
    async with synced(tmp_path, agent) as both:
        for end in (both.laptop, both.pod):
            (end / "sub").mkdir()
        await both.create()
        with eye_on(both.laptop) as seen:
            plant(both.pod)
            (both.pod / "sub" / "fine.txt").write_text("fine")
            await flushed(both)
            (both.pod / "sub" / ".mcp.json").write_bytes(EVIL * 2)
            await flushed(both)
        assert "sub/fine.txt" in seen, "the eye sees, and the agent works"
        assert {path for path in seen if path_is_held(path)} == set()
        assert tree(both.laptop) == {"sub": None, "sub/fine.txt": b"fine"}
        assert holders(both.laptop) == []
        assert holders(both.paths.state) == [], "not even staged"
        state = await session.state(both.paths, NAME)
        # It did report them: this is the list of what an agent that obeys would never have mentioned.
        assert {".git", ".envrc", ".vscode", "node_modules", "sub/.git", "bare"} <= {one.path for one in state.held}


async def test_what_the_laptop_keeps_back_is_neither_sent_nor_replaced_nor_removed(tmp_path: Path, agent: Path) -> None:
    async with synced(tmp_path, agent) as both:
        (both.laptop / ".paudeignore").write_text("private/\n")
        (both.laptop / "private").mkdir()
        for name in (".env", "private/plan", "id_ed25519"):
            (both.laptop / name).write_text("the laptop's secret")
        before = tree(both.laptop)
        await both.create()
        for name in (".env", "private/plan", "id_ed25519", "private/more"):
            (both.pod / name).parent.mkdir(exist_ok=True)
            (both.pod / name).write_bytes(EVIL)
        await flushed(both)
        for name in (".env", "private/plan", "id_ed25519", "private/more"):
            (both.pod / name).unlink()
        (both.pod / "private").rmdir()
        (both.pod / "private").symlink_to("sub")
        (both.pod / ".env").symlink_to(".paudeignore")
        await flushed(both)
        assert tree(both.laptop) == before
        assert b"secret" not in b"".join(c for c in tree(both.pod).values() if isinstance(c, bytes))


async def test_a_link_that_leads_out_lets_nothing_out(tmp_path: Path, agent: Path) -> None:
    async with synced(tmp_path, agent) as both:
        outside = tmp_path / "outside"
        outside.mkdir()
        (both.laptop / "d").mkdir()
        (both.laptop / "d" / "x").write_text("mine")
        await both.create()
        with eye_on(outside) as seen:
            for _ in range(5):  # a directory and a link take turns while cycles run
                (both.pod / "d" / "x").unlink(missing_ok=True)
                (both.pod / "d").rmdir()
                os.symlink(outside, both.pod / "d")
                await session.flush(both.paths, NAME)
                (both.pod / "d").unlink()
                (both.pod / "d").mkdir()
                (both.pod / "d" / "x").write_bytes(EVIL)
                await session.flush(both.paths, NAME)
        assert seen == set()
        assert list(outside.iterdir()) == []
        assert not (both.laptop / "d").is_symlink()
