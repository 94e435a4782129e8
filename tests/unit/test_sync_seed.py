from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from paude.process import run
from paude.sync import seed
from paude.sync.selection import Outgoing


async def read(root: Path, *ignores: str) -> dict[str, tarfile.TarInfo]:
    packed, out = root.parent / "packed", root.parent / "out"
    packed.write_bytes(b"".join([piece async for piece in seed.tar_stream(root, Outgoing(ignores, ()))]))
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
    assert found["run"].pax_headers["mtime"] == "1700000000.123456789"
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


async def test_what_shrinks_is_packed_and_what_does_not_is_left_alone(tmp_path: Path) -> None:
    for name, content in (("text", b"def f(): return 1\n" * 200_000), ("noise", os.urandom(3_600_000))):
        root = tmp_path / name
        root.mkdir()
        (root / "file").write_bytes(content)
        stream = b"".join([piece async for piece in seed.tar_stream(root, Outgoing((), ()))])
        assert (stream[:2] == b"\x1f\x8b") == (name == "text")
        assert (len(stream) < len(content) / 4) == (name == "text")
        with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
            member = archive.extractfile("file")
            assert member is not None
            assert member.read() == content
