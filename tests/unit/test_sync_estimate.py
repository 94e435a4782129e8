"""What a start would send, before it sends anything."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paude.errors import UsageError
from paude.plans.laptop import Laptop
from paude.plans.request import only_below
from paude.report import reporter
from paude.sessions.records import Record
from paude.settings import Paths
from paude.sync import decided, estimate, history, selection
from paude.sync.limits import Limits
from paude.sync.tree import entries


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "state", tmp_path / "run", tmp_path / "config", tmp_path / "cache")
    made.state.mkdir()
    return made


def git(workspace: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", workspace, *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout


def commits(workspace: Path, count: int) -> None:
    git(workspace, "init", "-q")
    for number in range(count):
        (workspace / "f").write_text(str(number))
        git(workspace, "add", "f")
        git(workspace, "commit", "-q", "-m", str(number))


def laptop(workspace: Path, paths: Paths, **wishes: object) -> Laptop:
    record = Record(
        name="s",
        uid="u",
        backend="podman",
        workspace=str(workspace),
        agent="shell",
        created_at="2026-01-01T00:00:00+00:00",
    )
    return Laptop(record, True, paths, **wishes)  # type: ignore[arg-type]


class Told:
    """What a step told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, current: int, total: int | None, unit: str) -> None:
        raise AssertionError("nothing is sent yet")


@pytest.fixture
def told() -> Iterator[Told]:
    listener = Told()
    before = reporter.set(listener)
    yield listener
    reporter.reset(before)


async def test_files_bytes_history_and_time_are_told_with_what_stays(workspace: Path, paths: Paths, told: Told) -> None:
    commits(workspace, 1)
    (workspace / "large").write_bytes(b"x" * 2_000_000)
    (workspace / ".env").write_text("SECRET=1")
    (workspace / "sub" / "node_modules").mkdir(parents=True)
    (paths.state / "speed.json").write_text('{"bytes_per_second": 1000000}')
    await laptop(workspace, paths).choose_what_goes_out()
    text = "\n".join(told.lines)
    assert "2 files, 2.0 MB" in text
    assert "about 2 s" in text
    assert "looks secret: .env" in text
    assert "made again: sub/node_modules" in text
    told.lines.clear()
    await laptop(workspace, paths).choose_what_goes_out()
    assert "made again" not in "\n".join(told.lines), "once is enough"
    assert "looks secret: .env" in "\n".join(told.lines)


async def test_much_needs_a_word(workspace: Path, paths: Paths) -> None:
    (workspace / "large").write_bytes(b"x" * 2000)
    limits = Limits(ask_above=1000)
    with pytest.raises(UsageError, match="much to send"):
        await laptop(workspace, paths, limits=limits).choose_what_goes_out()
    assert decided.load(paths, workspace) is None
    await laptop(workspace, paths, limits=limits, agreed_bytes=2000).choose_what_goes_out()
    await laptop(workspace, paths, limits=limits, agreed_bytes=None).choose_what_goes_out()


async def test_of_a_large_history_only_the_end_goes_out(workspace: Path, paths: Paths, tmp_path: Path) -> None:
    commits(workspace, history.SHALLOW_DEPTH + 3)
    whole = await history.pack(workspace, tmp_path / "whole")
    short = await history.pack(workspace, tmp_path / "short", limit=1)
    assert whole is not None
    assert short is not None
    assert short.stat().st_size < whole.stat().st_size
    header = short.read_bytes().partition(b"\n\n")[0].decode()
    assert history.SHALLOW_REFS in header
    assert git(workspace, "rev-parse", "HEAD").strip() in header
    assert "refs/heads/main" in header
    found = await estimate.estimate(paths, workspace, await selection.outgoing(workspace), Limits(history_bytes=1))
    assert found.shallow
    assert found.history_bytes == 1


async def test_only_a_part_goes_out_and_the_next_start_keeps_to_it(workspace: Path, paths: Paths, told: Told) -> None:
    for name in ("src/a/x", "src/b", "src/.env", "docs/y", "top"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("x")
    commits(workspace, 1)
    only = only_below(workspace, (Path("src/a"), workspace / "src/.env"))
    assert only == ("src/.env", "src/a")
    one = laptop(workspace, paths, only=only)
    chosen = await one.choose_what_goes_out()
    sent = {found.path for found in entries(workspace, chosen.matcher())}
    assert sent == {"src", "src/a", "src/a/x"}, "a secret stays, whoever names it"
    assert await one.pack_history() is None
    assert "no git history" in "\n".join(told.lines)
    again = await laptop(workspace, paths).choose_what_goes_out()
    assert again.ignores == chosen.ignores
    with pytest.raises(UsageError, match="did not"):
        await laptop(workspace, paths, only=()).choose_what_goes_out()


@pytest.mark.parametrize("wrong", ["..", "missing", "/"])
def test_a_part_must_be_in_the_workspace(workspace: Path, wrong: str) -> None:
    with pytest.raises(UsageError):
        only_below(workspace, (Path(wrong),))


def test_the_speed_of_the_last_start_is_the_next_ones_guess(paths: Paths) -> None:
    assert estimate.speed(paths) == estimate.BYTES_PER_SECOND
    estimate.remember(paths, 10_000_000, 2)
    assert estimate.speed(paths) == 5e6
    estimate.remember(paths, 10, 0.1)
    assert estimate.speed(paths) == 5e6, "too little to tell"
