"""Trees of files: made from a seed, and compared by one hash that says whether two are the same."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

# The same, as a command of the agent's container: paths and contents of all regular files, in byte order.
HASH_COMMAND = (
    "cd /workspace && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -b | sha256sum | cut -c1-64"
)
_CHUNK = 1 << 20


def grow(root: Path, files: int, large: int, seed: int = 7) -> None:
    """`files` small files in many directories, and one of `large` bytes that cannot be compressed."""
    rng = random.Random(seed)
    for number in range(files):
        path = root / f"d{number % 37}" / f"e{number % 11}" / f"file {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(0, 6000)))
    with (root / "large.bin").open("wb") as file:
        for start in range(0, large, _CHUNK):
            file.write(rng.randbytes(min(_CHUNK, large - start)))


def hash_of(root: Path) -> str:
    """What HASH_COMMAND prints for the same tree."""
    lines = hashlib.sha256()
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    for path in sorted(paths, key=lambda p: f"./{p.relative_to(root)}".encode()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.update(f"{digest} *./{path.relative_to(root)}\n".encode())
    return lines.hexdigest()
