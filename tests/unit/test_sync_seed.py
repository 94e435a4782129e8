from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import anyio

from paude.process import Completed, run
from paude.sync import daemon, seed
from paude.sync.selection import Outgoing


async def stream(root: Path, *ignores: str) -> bytes:
    async with seed.tar_stream(root, Outgoing(ignores, ())) as pieces:
        return b"".join([piece async for piece in pieces])


async def unpacked(packed: bytes) -> bytes:
    return (await run(["zstd", "--decompress", "--stdout"], stdin=packed)).stdout


async def read(root: Path, *ignores: str) -> dict[str, tarfile.TarInfo]:
    packed, out = root.parent / "packed", root.parent / "out"
    packed.write_bytes(await unpacked(await stream(root, *ignores)))
    out.mkdir()
    # By the program: the first Pythons 3.11 have no filter for this, and later ones want one.
    await run(["tar", "--extract", f"--file={packed}", f"--directory={out}"])
    with tarfile.open(packed) as archive:
        return {m.name: m for m in archive.getmembers()}


async def test_content_times_and_the_executable_bit_travel(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "empty").mkdir(parents=True)
    (root / "run").write_bytes(os.urandom(3_000_001))
    (root / "run").chmod(0o700)
    os.utime(root / "run", ns=(1, 1_700_000_000_123_456_789))
    found = await read(root)
    assert (tmp_path / "out" / "run").read_bytes() == (root / "run").read_bytes()
    assert found["run"].mode == 0o755
    assert (found["run"].mtime, found["run"].uname) == (1_700_000_000, "123456789")
    assert found["empty"].isdir()


async def test_what_is_ignored_is_not_in_it(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("keep", ".env", "out/x", "a/out/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    assert set(await read(root, ".env", "out/")) == {"keep", "a"}


async def test_links_that_stay_inside_travel_and_others_do_not(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "d").mkdir(parents=True)
    for name, target in (("d/up", "../x"), ("d/out", "../../x"), ("abs", "/etc/passwd"), ("loop", "loop")):
        (root / name).symlink_to(target)
    found = await read(root)
    assert {name for name, m in found.items() if m.issym()} == {"d/up", "loop"}
    assert found["d/up"].linkname == "../x"


async def test_any_name_and_any_length_travel(tmp_path: Path) -> None:
    root = tmp_path / "in"
    names = ["ü" * 100, "x" * 255, "new\nline", "😀", "-rf", "d/" + "y" * 99, "/".join(["z" * 90] * 5)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    found = await read(root)
    assert {n for n, m in found.items() if m.isreg()} == set(names)


async def test_what_is_no_file_is_left_out_and_nothing_waits_for_it(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"\xff")).write_text("no Unicode")
    (root / ".mutagen-temporary-x").write_text("half")
    (root / "f").write_text("x")
    assert set(await read(root)) == {"f"}


async def test_what_shrinks_is_packed_and_what_does_not_costs_nothing(tmp_path: Path) -> None:
    for name, content, most in (
        ("text", b"def f(): return 1\n" * 200_000, 0.1),
        ("noise", os.urandom(3_600_000), 1.01),
    ):
        root = tmp_path / name
        root.mkdir()
        (root / "file").write_bytes(content)
        packed = await stream(root)
        assert len(packed) < most * len(content)
        with tarfile.open(fileobj=io.BytesIO(await unpacked(packed))) as archive:
            member = archive.extractfile("file")
            assert member is not None
            assert member.read() == content


async def packing(root: Path, names: bytes) -> Completed:
    return await run([daemon.binary(), "pack", root], stdin=names, check=False)


async def test_what_cannot_be_read_is_told_and_what_has_gone_is_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    done = await packing(tmp_path, b"f/x\0gone\0f\0\0")
    assert (done.returncode, done.stderr) == (0, '{"unreadable":"f/x"}\n')
    with tarfile.open(fileobj=io.BytesIO(await unpacked(done.stdout))) as archive:
        assert archive.getnames() == ["f"]


async def test_a_list_that_breaks_off_makes_no_whole_stream(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    done = await packing(tmp_path, b"f\0")
    assert (done.returncode, done.stdout) == (1, b"")


async def test_a_stream_that_nobody_wants_any_more_ends(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(30_000_000))
    with anyio.fail_after(10):
        async with seed.tar_stream(tmp_path, Outgoing((), ())) as pieces:
            assert await anext(pieces)
