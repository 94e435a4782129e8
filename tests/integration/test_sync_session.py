"""Both ends of a sync over a real sshd, with the real daemon and the real agent."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

import sync_keeper
from paude.errors import ConnectionLost, NotFound
from paude.plans.news import sync_news
from paude.process import started
from paude.sync import daemon, seed, selection, session
from paude.sync.limits import Limits
from ssh_server import descendants
from sync_peer import NAME, eventually, peer, reads, synced, tree

# A tenth of it on an idle machine; without a working watcher it would be two minutes.
SOON_S = 2


async def test_the_first_cycle_brings_both_ends_together(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "here.txt").write_text("laptop")
        (both.pod / "there").mkdir()
        (both.pod / "there" / "x").write_text("pod")
        state = await both.create()
        assert state.healthy, state.message
        assert tree(both.laptop) == tree(both.pod) == {"here.txt": b"laptop", "there": None, "there/x": b"pod"}


@pytest.mark.parametrize("origin", ["laptop", "pod"])
async def test_a_first_edit_of_a_file_arrives_at_once(tmp_path: Path, origin: str) -> None:
    async with synced(tmp_path) as both:
        for number in range(60):
            (both.laptop / f"d{number}").mkdir()
            (both.laptop / f"d{number}" / "file").write_text("old")
        await both.create()
        here, there = (both.laptop, both.pod) if origin == "laptop" else (both.pod, both.laptop)
        await session.flush(both.paths, NAME)  # nothing is under way that would carry the edit along
        (here / "d7" / "file").write_text("new")
        await eventually(reads(there / "d7" / "file", "new"), within=SOON_S)


async def test_a_change_in_a_new_directory_arrives_at_once(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        for side, other in ((both.laptop, both.pod), (both.pod, both.laptop)):
            deep = Path(f"new-{side.name}") / "a" / "b"
            (side / deep).mkdir(parents=True)
            await eventually((other / deep).is_dir, within=SOON_S)
            (side / deep / "f").write_text("x")
            await eventually(reads(other / deep / "f", "x"), within=SOON_S)


async def test_a_conflict_keeps_both_versions_and_is_listed_however_many_there_are(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        await session.pause(both.paths, NAME)
        for number in range(13):
            (both.laptop / f"c{number:02}").write_text("laptop")
            (both.pod / f"c{number:02}").write_text("pod")
        await session.resume(both.paths, NAME)
        await session.first_cycle(both.paths, NAME)
        state = await session.flush(both.paths, NAME)
        assert [c.path for c in state.conflicts] == [f"c{n:02}" for n in range(13)]
        assert not state.healthy
        assert "13 conflicts" in state.message
        assert (both.laptop / "c00").read_text() == "laptop"
        assert (both.pod / "c00").read_text() == "pod"


async def test_the_loser_of_a_conflict_is_chosen_by_removing_it(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("laptop")
        (both.pod / "f").write_text("pod")
        assert (await both.create()).conflicts
        (both.laptop / "f").unlink()
        state = await session.flush(both.paths, NAME)
        assert state.healthy, state.message
        assert (both.laptop / "f").read_text() == "pod"


async def test_what_is_included_travels_at_once_and_the_other_rules_hold(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for name in (
            "node_modules/one/a",
            "node_modules/one/.env",
            "node_modules/one/node_modules/b",
            "node_modules/two/c",
        ):
            (both.laptop / name).parent.mkdir(parents=True, exist_ok=True)
            (both.laptop / name).write_text(name)
        (both.laptop / "plain").write_text("x")
        await both.create(limits=Limits(deletes=7))
        assert tree(both.pod) == {"plain": b"x"}
        chosen = await selection.outgoing(both.laptop)
        more = await selection.including(both.laptop, chosen, ("node_modules/one",), ())
        state = await session.change_rules(both.paths, NAME, more)
        assert state.healthy, state.message
        files = {name for name, content in tree(both.pod).items() if content is not None}
        assert files == {"plain", "node_modules/one/a", "node_modules/one/node_modules/b"}
        (limits,) = (both.paths.sync / "limits").iterdir()
        assert Limits.from_json(limits.read_text()) == Limits(deletes=7)
        await both.state(lambda s: s.local_watch == "watching")
        (both.laptop / "node_modules" / "one" / "a").write_text("edited")
        await eventually(reads(both.pod / "node_modules" / "one" / "a", "edited"))


HOSTILE = (".envrc", ".git/hooks/pre-commit", "sub/.GIT/config", ".vscode/tasks.json", ".claude/settings.json", ".Env")


async def test_nothing_of_tier_1_comes_out_of_the_pod(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        for name in HOSTILE:
            (both.pod / name).parent.mkdir(parents=True, exist_ok=True)
            (both.pod / name).write_text("evil")
        (both.pod / "hooks").symlink_to(".git/hooks")
        (both.pod / "sub" / "fine.txt").write_text("fine")
        state = await session.flush(both.paths, NAME)
        assert tree(both.laptop) == {"sub": None, "sub/fine.txt": b"fine"}
        assert not state.problems
        assert not state.conflicts
        # `.git` and what looks secret the laptop does not take part in at all, so that is not even listed.
        assert {str(h) for h in state.held} == {".vscode", ".claude", "hooks"}


async def test_what_is_held_is_listed_until_the_laptop_has_it_too(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for end in (both.laptop, both.pod):
            (end / ".vscode").mkdir()
            (end / ".vscode" / "settings.json").write_text("{}")
        state = await both.create()
        assert state.healthy, state.message
        assert not state.held
        (both.pod / ".vscode" / "settings.json").write_text('{"evil": 1}')
        state = await session.flush(both.paths, NAME)
        assert [(h.path, h.change) for h in state.held] == [(".vscode/settings.json", "changed")]
        assert (both.laptop / ".vscode" / "settings.json").read_text() == "{}"
        (both.laptop / ".vscode" / "settings.json").write_text('{"evil": 1}')
        assert not (await session.flush(both.paths, NAME)).held


async def test_the_pod_cannot_delete_what_is_of_tier_1(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "d" / ".claude").mkdir(parents=True)
        (both.laptop / "d" / ".claude" / "settings.json").write_text("deny")
        (both.laptop / "d" / "x").write_text("x")
        (both.laptop / "other").write_text("x")
        await both.create()
        (both.pod / "d" / ".claude" / "settings.json").unlink()
        (both.pod / "d" / ".claude").rmdir()
        (both.pod / "d" / "x").unlink()
        (both.pod / "d").rmdir()
        await session.flush(both.paths, NAME)
        assert tree(both.laptop / "d") == {".claude": None, ".claude/settings.json": b"deny"}


async def test_what_the_laptop_keeps_back_never_reaches_the_pod_nor_comes_back(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / ".paudeignore").write_text("private/\n*.log\n!keep.log\na,b\n")
        for name in ("private/x", "deep/y.log", "keep.log", ".env", "id_ed25519", "a,b", "plain"):
            (both.laptop / name).parent.mkdir(exist_ok=True)
            (both.laptop / name).write_text(name)
        await both.create()
        assert set(tree(both.pod)) == {".paudeignore", "deep", "keep.log", "plain"}
        (both.pod / "forged.log").write_text("forged")
        (both.pod / ".paudeignore").write_text("")
        (both.laptop / "deep" / "z.log").write_text("new")
        await session.flush(both.paths, NAME)
        await session.flush(both.paths, NAME)
        assert not (both.pod / "deep" / "z.log").exists()
        assert not (both.laptop / "forged.log").exists()


async def test_a_large_file_arrives_whole(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        with (both.laptop / "large").open("wb") as file:
            for _ in range(32):
                file.write(os.urandom(1 << 20))
        await both.create()
        digests = [hashlib.sha256((end / "large").read_bytes()).digest() for end in (both.laptop, both.pod)]
        assert digests[0] == digests[1]


async def test_the_executable_bit_travels_and_nothing_else_of_the_mode(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for end, name in ((both.laptop, "out"), (both.pod, "back")):
            (end / name).mkdir()
            (end / name / "run").write_text("x")
            (end / name / "run").chmod(0o6777)
            (end / name / "plain").write_text("x")
            (end / name / "plain").chmod(0o600)
        await both.create()
        # As the first content is unpacked in the pod: its group may write.
        assert modes(both.pod / "out") == {".": 0o775, "run": 0o775, "plain": 0o664}
        assert modes(both.laptop / "back") == {".": 0o755, "run": 0o755, "plain": 0o644}


def modes(directory: Path) -> dict[str, int]:
    found = (directory, *directory.iterdir())
    return {str(path.relative_to(directory)): path.stat().st_mode & 0o7777 for path in found}


async def test_a_killed_daemon_goes_on_where_it_was(tmp_path: Path) -> None:
    with anyio.fail_after(60), peer(tmp_path) as both:
        async with daemon.daemon(both.paths) as first:
            (both.laptop / "f").write_text("old")
            await both.create()
            os.kill(first.pid, signal.SIGKILL)
            await first.ended()
        (both.laptop / "f").write_text("meanwhile")
        (both.pod / "f").write_text("old")
        (both.pod / "g").write_text("also")
        async with daemon.daemon(both.paths):
            state = await both.state(lambda s: s.settled)
            assert not state.conflicts, "what both sides last agreed on was forgotten"
            await eventually(reads(both.pod / "f", "meanwhile"))
            await eventually(reads(both.laptop / "g", "also"))


async def test_a_daemon_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        async with daemon.daemon(both.paths):
            assert (await both.state(lambda s: s.settled)).healthy


async def test_a_daemon_ends_when_what_keeps_it_was_killed(tmp_path: Path) -> None:
    with anyio.fail_after(60), peer(tmp_path) as both:
        places = (both.paths.state, both.paths.runtime, both.paths.config, both.paths.cache)
        async with started([sys.executable, sync_keeper.__file__, *places], stderr=None) as keeper:
            assert keeper.stdout is not None
            pid = int(await keeper.stdout.receive())
            try:
                await both.create()
                async with aclosing(session.watch(both.paths, NAME)) as states:
                    await anext(states)
                    keeper.kill()
                    with pytest.raises(ConnectionLost, match="the sync daemon ended"):
                        async for _ in states:
                            pass
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise


async def test_an_emptied_pod_stops_the_sync_and_empties_nothing(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for name in ("a", "b", "c"):
            (both.laptop / name).write_text(name)
        await both.create()
        for name in ("a", "b", "c"):
            (both.pod / name).unlink()
        state = await both.state(lambda s: s.halted)
        assert "reset" in state.message
        assert sorted(tree(both.laptop)) == ["a", "b", "c"]


async def test_a_cut_connection_is_made_again_and_nothing_is_missed(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("old")
        await both.create()
        assert both.server.cut()
        (both.pod / "f").write_text("while it was cut")
        await eventually(reads(both.laptop / "f", "while it was cut"), within=20)


async def test_who_pauses_between_tries_makes_the_next_one_when_told(tmp_path: Path) -> None:
    """Untold, the pauses before twelve tries would be half a minute in all."""
    with anyio.fail_after(60), peer(tmp_path) as both:
        async with daemon.daemon(both.paths) as running:
            await both.create()
            tries = tmp_path / "tries"
            ssh = both.paths.sync / "shims" / "ssh"
            ssh.write_text(f'#!/bin/sh\necho "$*" >> {tries}\nexit 255\n')
            both.server.kill()

            def tried() -> bool:
                running.hurry()
                return tries.exists() and tries.read_text().count("synchronizer") > 12

            await eventually(tried, within=15)


async def test_ssh_keeps_its_buffers(tmp_path: Path) -> None:
    """By glibc's thresholds (mallopt(3)): with its own it gets them anew for each packet of a bulk transfer."""
    with anyio.fail_after(60), peer(tmp_path) as both:
        async with daemon.daemon(both.paths) as running:
            await both.create()
            found = [Path(f"/proc/{one}") for one in descendants(running.pid)]
            programs = [one for one in found if (one / "comm").read_text() == "ssh\n"]
            assert programs
            for one in programs:
                given = (one / "environ").read_bytes().split(b"\0")
                for name in (b"MALLOC_MMAP_THRESHOLD_", b"MALLOC_TRIM_THRESHOLD_"):
                    assert name + b"=16777216" in given


async def test_a_session_with_the_same_rules_is_kept_and_one_with_others_is_made_anew(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        await both.create()
        found = daemon.environment(both.paths)["MUTAGEN_DATA_DIRECTORY"]
        first = set((Path(found) / "sessions").iterdir())
        await both.create()
        assert set((Path(found) / "sessions").iterdir()) == first
        await both.create(Limits(deletes=5))
        assert set((Path(found) / "sessions").iterdir()) == first, "that limit is read at each connection"
        await both.create(Limits(entries=500))
        second = set((Path(found) / "sessions").iterdir())
        assert second != first
        (both.laptop / ".paudeignore").write_text("more\n")
        await both.create(Limits(entries=500))
        assert set((Path(found) / "sessions").iterdir()) != second


async def test_a_fresh_volume_meets_no_memory_of_an_older_one(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for name in ("a", "b", "c"):
            (both.laptop / name).write_text(name)
        await both.create()
        await session.pause(both.paths, NAME)
        for name in ("a", "b"):
            (both.pod / name).unlink()
        chosen = await selection.outgoing(both.laptop)
        other = f"gate.{NAME}.paude:{both.pod}"
        await session.define(both.paths, NAME, both.laptop, chosen, fresh=True, beta=other)
        await session.resume(both.paths, NAME)
        await session.first_cycle(both.paths, NAME)
        assert sorted(tree(both.laptop)) == sorted(tree(both.pod)) == ["a", "b", "c"]


async def test_a_terminated_session_is_gone_and_its_files_stay(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("x")
        await both.create()
        await session.terminate(both.paths, NAME)
        await session.terminate(both.paths, NAME)
        with pytest.raises(NotFound):
            await session.state(both.paths, NAME)
        assert (both.pod / "f").read_text() == "x"


async def test_a_long_state_directory_gets_a_short_name(tmp_path: Path) -> None:
    async with synced(tmp_path / ("long" * 20)) as both:
        (both.laptop / "f").write_text("x")
        assert (await both.create()).healthy


async def test_only_a_part_travels_either_way(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        for end in (both.laptop, both.pod):
            for name in ("a-]b", "a-]bc", "a-", "[x", "src/deep/f", "src/dee", "src/deeper/f", "ü{", "other"):
                (end / name).parent.mkdir(parents=True, exist_ok=True)
                (end / name).write_text(f"{name} of {end.name}")
        wanted = ("a-]b", "[x", "src/deep", "src/deeper", "ü{")
        for name in ("a-]b", "[x", "src/deep/f", "src/deeper/f", "ü{"):
            (both.pod / name).unlink()
        before = {end: tree(end) for end in (both.laptop, both.pod)}
        state = await both.create(only=wanted)
        assert state.healthy, state.message
        assert tree(both.laptop) == before[both.laptop]
        came = {name: facts for name, facts in tree(both.pod).items() if name not in before[both.pod]}
        wanted = ("a-]b", "[x", "src/deep/f", "src/deeper/f", "ü{")
        assert came == {name: f"{name} of laptop".encode() for name in wanted}


def holders(directory: Path) -> set[str]:
    """The processes that have a file of it open."""
    links = ((path.parent.parent.name, _target(path)) for path in Path("/proc").glob("[0-9]*/fd/*"))
    return {process for process, target in links if target.startswith(f"{directory}/")}


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""


async def test_the_first_look_waits_for_what_the_packing_has_read(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_bytes(os.urandom(1 << 20))  # more than a pipe holds: its reader is waited for
        told = daemon.data_directory(both.paths).resolve() / "known"
        chosen = await selection.outgoing(both.laptop)
        async with seed.tar_stream(both.laptop, chosen, paths=both.paths) as pieces, anyio.create_task_group() as tasks:
            await eventually(lambda: len(holders(told)) == 1)
            tasks.start_soon(both.create)
            await eventually(lambda: len(holders(told)) == 2)
            async for _ in pieces:
                pass
        assert (both.pod / "f").read_bytes() == (both.laptop / "f").read_bytes()
        assert not list(told.iterdir())


async def test_the_same_rules_choose_the_seed_and_the_sync(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        rules = ("build/**", "!build/keep", "*.tmp", "[a-c]?.x", "\\!odd", "q{1,2}", "/s[^a]t", "[!b]-x")
        (both.laptop / ".gitignore").write_text("\n".join(rules) + "\n")
        names = [
            "build/out",
            "build/keep",
            "x.tmp",
            "ab.x",
            "dd.x",
            "s/t",
            "s-t",
            "c-x",
            "d/b-x",
            "e/-x",
            "!odd",
            "q{1,2}",
            "q1",
            "ünïcödé",
        ]
        for name in names:
            (both.laptop / name).parent.mkdir(exist_ok=True)
            (both.laptop / name).write_text(name)
        travel = {".gitignore", "build", "build/keep", "dd.x", "q1", "ünïcödé", "s", "s/t", "d", "d/b-x", "e", "e/-x"}
        matcher = (await selection.outgoing(both.laptop)).matcher()
        await both.create()
        ours = {n for n, c in tree(both.laptop).items() if not matcher.ignored(n, directory=c is None)}
        assert ours == set(tree(both.pod)) == travel


async def test_who_looks_at_the_terminal_is_told_of_trouble_and_of_its_end(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("laptop")
        (both.pod / "f").write_text("pod")
        await both.create()
        told, heard = anyio.create_memory_object_stream[str](10)
        async with anyio.create_task_group() as tasks, told, heard:
            tasks.start_soon(sync_news, both.paths, NAME, told.send_nowait)
            assert "1 conflict" in await heard.receive()
            (both.laptop / "f").unlink()
            assert "in step again" in await heard.receive()
            tasks.cancel_scope.cancel()
