"""Trees and file systems that a laptop may have: what can travel does, the rest is told, and nothing is lost."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sync_peer import eventually, reads, synced, tree

OLD, FAR = -2_147_483_648, 4_294_967_295  # 1901 and 2106


@contextmanager
def mounted(target: Path, *words: str) -> Iterator[None]:
    """A mount over the directory while the block runs."""
    subprocess.run(["mount", *words, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)


def remounted(target: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,bind,{how}", target], check=True)


async def test_what_is_no_ordinary_file_stays_and_the_others_travel(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        plain = {
            "empty": "",
            "-rf": "x",
            "CON": "x",
            "dot.": "x",
            "space ": "x",
            "x" * 255: "x",
            "old": "x",
            "far": "x",
        }
        for name, content in plain.items():
            (both.laptop / name).write_text(content)
        os.utime(both.laptop / "old", (OLD, OLD))
        os.utime(both.laptop / "far", (FAR, FAR))
        (both.laptop / "setuid").write_text("x")
        (both.laptop / "setuid").chmod(0o4755)
        os.link(both.laptop / "empty", both.laptop / "hard")
        os.mkfifo(both.laptop / "fifo")
        (both.laptop / "loop").symlink_to("loop")
        (both.laptop / "dangling").symlink_to("nothing")
        (both.laptop / "absolute").symlink_to("/etc/passwd")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(both.laptop / "socket"))
            await both.create()
        assert {*plain, "setuid", "hard", "loop", "dangling"} == set(tree(both.pod))
        assert (both.pod / "setuid").stat().st_mode & 0o7000 == 0
        (both.pod / "hard").write_text("agent")
        await eventually(reads(both.laptop / "hard", "agent"))
        assert (both.laptop / "empty").read_text() == "", "the other name of that file is another file now"


async def test_a_workspace_on_an_overlay_is_synced_both_ways(tmp_path: Path) -> None:
    layers = [tmp_path / name for name in ("lower", "upper", "work")]
    for layer in layers:
        layer.mkdir()
    (layers[0] / "below").write_text("from the layer below")
    async with synced(tmp_path / "peer") as both:
        options = "lowerdir={},upperdir={},workdir={}".format(*layers)
        with mounted(both.laptop, "-t", "overlay", "overlay", "-o", options):
            await both.create()
            (both.pod / "below").write_text("agent")
            await eventually(reads(both.laptop / "below", "agent"))
            (both.laptop / "below").write_text("laptop")
            await eventually(reads(both.pod / "below", "laptop"))
            (both.pod / "below").unlink()
            await eventually(lambda: not (both.laptop / "below").exists())


async def test_a_workspace_that_becomes_read_only_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async with synced(tmp_path) as both:
        (both.laptop / "f").write_text("one")
        with mounted(both.laptop, "--bind", str(both.laptop)):
            await both.create()
            remounted(both.laptop, "ro")
            (both.pod / "f").write_text("agent")
            state = await both.state(lambda s: bool(s.problems))
            assert not state.healthy
            assert [(one.side, one.path) for one in state.problems] == [("laptop", "f")]
            assert "read-only" in state.problems[0].error
            assert (both.pod / "f").read_text() == "agent"
            remounted(both.laptop, "rw")
            (both.pod / "next").write_text("x")  # the next change tries again
            await eventually(reads(both.laptop / "f", "agent"), within=30)
