"""The first content: one tar stream of what the selection lets out.

The headers are made here and not by `tarfile`, which needs longer for them than for the content of small files.
Format: POSIX pax (IEEE 1003.1-2008), so that times keep their nanoseconds and names their length.
"""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Event

import anyio
import anyio.to_thread

from paude import report
from paude.sync.selection import Outgoing, Size
from paude.sync.tree import Found, entries, stays_inside

CHUNK = 1024 * 1024
_BLOCK = 512
_END = b"\0" * (2 * _BLOCK)
_LONGEST_NAME = 100
_LARGEST_SIZE = 8 * 1024**3 - 1
_LEVEL = 1
_PACKERS = 4
_AHEAD = 8
_WORTH_IT = 0.7
# Headers of a file, and half a block that its content does not fill.
_AROUND = 3 * _BLOCK + _BLOCK // 2

_Packing = tuple[int, "Future[bytes]"]


async def tar_stream(
    workspace: Path, chosen: Outgoing, size: Size | None = None, rate: int = 0
) -> AsyncIterator[bytes]:
    """The content of `workspace` as pieces, made one at a time in a worker thread; gzipped where that pays.

    Tells the bytes of the tree made so far as progress, of all of them where the `size` is known, and afterwards what
    could not be read. `rate` is the most bytes a second; 0 for any.
    """
    total = size.bytes + size.files * _AROUND if size is not None else None
    began, sent = anyio.current_time(), 0
    unreadable: list[str] = []
    pieces = _packed(_gathered(_records(workspace, chosen, unreadable)))
    made = 0
    while piece := await anyio.to_thread.run_sync(next, pieces, None):
        count, packed = piece
        if packed:
            yield packed
            sent += len(packed)
        made += count
        report.progress(made if total is None else min(made, total), total, "bytes")
        if rate:
            await anyio.sleep_until(began + sent / rate)
    for path in unreadable[:10]:
        report.line(f"not sent, because it cannot be read: {path}")
    if len(unreadable) > 10:
        report.line(f"… and {len(unreadable) - 10} more that cannot be read")


def _packed(pieces: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each piece as it travels, with its own size: gzipped when the first one shrinks enough to be worth the work.

    Source code shrinks to a quarter; what is packed already (pictures, archives) is left as it is. Each piece is a gzip
    member of its own, so several are packed at once, and the next are read while one is on its way.
    """
    first = next(pieces)
    sample = _gzipped(first)
    worth_it = len(sample) <= _WORTH_IT * len(first)
    yield len(first), sample if worth_it else first
    with ThreadPoolExecutor(_PACKERS + 1, "seed") as pool, _reading(pool, pieces, worth_it) as read:
        while (one := read.get()) is not None:
            size, packed = one
            yield size, packed.result()


def _gzipped(piece: bytes) -> bytes:
    return gzip.compress(piece, _LEVEL, mtime=0)


def _as_it_is(piece: bytes) -> bytes:
    return piece


@contextmanager
def _reading(pool: ThreadPoolExecutor, pieces: Iterator[bytes], worth_it: bool) -> Iterator[Queue[_Packing | None]]:
    """A queue of pieces that are being packed, in their order; None is its end. Raises what reading raised."""
    queue: Queue[_Packing | None] = Queue(_AHEAD)
    given_up = Event()

    def read() -> None:
        try:
            for piece in pieces:
                if given_up.is_set():
                    return
                queue.put((len(piece), pool.submit(_gzipped if worth_it else _as_it_is, piece)))
        finally:
            queue.put(None)

    reader = pool.submit(read)
    try:
        yield queue
        reader.result()
    finally:
        given_up.set()
        while not reader.done():  # it may wait for room
            with suppress(Empty):
                queue.get(timeout=0.05)


def _gathered(records: Iterator[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for record in records:
        waiting.append(record)
        size += len(record)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join((*waiting, _END))


def _records(workspace: Path, chosen: Outgoing, unreadable: list[str]) -> Iterator[bytes]:
    for found in entries(workspace, chosen.matcher(), unreadable):
        try:
            yield from _record(found)
        except OSError:
            unreadable.append(found.path)


def _record(found: Found) -> Iterator[bytes]:
    if found.entry.is_symlink():
        target = os.readlink(found.entry.path)
        if stays_inside(found.path, target):
            yield _header(found.path, found.entry.stat(follow_symlinks=False), b"2", target=target)
    elif found.is_directory:
        yield _header(found.path + "/", found.entry.stat(follow_symlinks=False), b"5")
    else:
        yield from _file(found)


def _file(found: Found) -> Iterator[bytes]:
    """Header and content agree in size even when the file is being written to; the sync puts it right afterwards."""
    # Never through a link that took the file's place, and never waiting for the writer of a pipe.
    descriptor = os.open(found.entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return
        yield _header(found.path, facts, b"0", size=facts.st_size)
        left = facts.st_size
        while left:
            piece = os.read(descriptor, min(left, CHUNK)) or b"\0" * min(left, CHUNK)
            left -= len(piece)
            yield piece
        yield _padding(facts.st_size)
    finally:
        os.close(descriptor)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


def _header(path: str, facts: os.stat_result, kind: bytes, *, size: int = 0, target: str = "") -> bytes:
    name, link = path.encode(), target.encode()
    words = {"mtime": f"{facts.st_mtime_ns // 10**9}.{facts.st_mtime_ns % 10**9:09}".encode()}
    if len(name) > _LONGEST_NAME or not name.isascii():
        words["path"] = name
    if len(link) > _LONGEST_NAME or not link.isascii():
        words["linkpath"] = link
    if size > _LARGEST_SIZE:
        words["size"] = str(size).encode()
    extended = b"".join(_pax(key, value) for key, value in words.items())
    mode = 0o755 if kind == b"5" or facts.st_mode & 0o111 else 0o644
    seconds = max(0, facts.st_mtime_ns // 10**9)
    return (
        _ustar(b"pax", 0o644, len(extended), seconds, b"x")
        + extended
        + _padding(len(extended))
        + _ustar(name, mode, min(size, _LARGEST_SIZE), seconds, kind, link)
    )


def _pax(key: str, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key.encode(), value)


def _ustar(name: bytes, mode: int, size: int, seconds: int, kind: bytes, link: bytes = b"") -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0"),
        mode,
        0,
        0,
        size,
        min(seconds, 0o77777777777),
    )
    tail = kind + link[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0") + b"ustar\x0000"
    total = sum(head) + sum(tail) + 8 * 32
    return (head + b"%06o\0 " % total + tail).ljust(_BLOCK, b"\0")
