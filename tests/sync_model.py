"""Random work on both ends of a sync, by somebody who notes what he wrote and what he destroyed himself.

Every content is unique. What an operation takes away is moved to a graveyard first, so that it is known exactly what
was destroyed by a user and not by the sync. What was written and not destroyed must be somewhere at the end.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paude.sync.guard import path_is_held

NAMES = ("a", "b.txt", "C", "ü", "long" * 30, "x y", "-rf")
DIRECTORIES = ("", "d", "d/e", "f", "F2")
HELD = (".envrc", ".vscode", "d/.claude")
# Two entries that nobody touches: a side that is empty stops the sync, which is another test's.
ANCHORS = ("anchor-1", "anchor-2")


@dataclass
class Ledger:
    """Contents that were written, and those that a user destroyed."""

    graveyard: Path
    written: dict[bytes, str] = field(default_factory=dict)
    """With who wrote it, and how."""
    destroyed: set[bytes] = field(default_factory=set)
    _buried: dict[Path, tuple[tuple[int, int, int], bytes]] = field(default_factory=dict)

    def buried(self) -> set[bytes]:
        """What lies in the graveyard; of the thousands there only those are read that are new or have changed."""
        known, self._buried = self._buried, {}
        for path in self.graveyard.rglob("*"):
            with suppress(FileNotFoundError):  # the sync works there too, in a directory that was moved away
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode):
                    key = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                    before = known.get(path)
                    self._buried[path] = before if before and before[0] == key else (key, path.read_bytes())
        return {content for _, content in self._buried.values()}

    def lost(self, *trees: Path) -> dict[bytes, str]:
        """What was written, was not destroyed, and is nowhere.

        A user who moves a directory away may take along what the sync is just putting there: that is in the graveyard.
        """
        there = self.buried() | {content for tree in trees for content in contents(tree).values()}
        accounted = self.destroyed | there
        return {content: how for content, how in self.written.items() if content not in accounted}

    def foreign(self, *trees: Path) -> dict[str, bytes]:
        """Files whose content nobody wrote: torn, or mixed of two."""
        return {p: c for tree in trees for p, c in contents(tree).items() if c not in self.written}


def contents(root: Path) -> dict[str, bytes]:
    """The files below `root` that are of the game."""
    files = (p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and p.name not in ANCHORS)
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.exists()}


def shape(root: Path) -> dict[str, object]:
    """All that must be the same on both ends."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            found[str(path.relative_to(root))] = os.readlink(path)
        elif stat.S_ISDIR(facts.st_mode):
            found[str(path.relative_to(root))] = None
        else:
            found[str(path.relative_to(root))] = (path.read_bytes(), bool(facts.st_mode & 0o111))
    return found


class User:
    """Somebody who works in one of the two trees."""

    def __init__(self, root: Path, graveyard: Path, ledger: Ledger, rng: random.Random) -> None:
        self.root, self.graveyard, self.ledger, self.rng = root, graveyard, ledger, rng
        self.count = 0
        self.done = 0
        self.doing = ""
        self.where: list[str] = []
        self.operations: dict[Callable[[], None], int] = {
            self.save: 14,
            self.overwrite: 4,
            self.append: 6,
            self.truncate: 2,
            self.slowly: 2,
            self.rename: 4,
            self.delete: 3,
            self.make_directory: 2,
            self.move_directory: 2,
            self.swap_directories: 1,
            self.delete_directory: 1,
            self.directory_for_file: 1,
            self.file_for_directory: 1,
            self.link: 2,
            self.change_mode: 2,
            self.touch: 1,
            self.hold: 1,
        }

    def act(self) -> str:
        """Do one thing; what is not there any more, or is in the way, makes it nothing."""
        chosen = self.rng.choices(list(self.operations), list(self.operations.values()))[0]
        self.doing, self.where = chosen.__name__, []
        try:
            chosen()
        except OSError:
            return f"{chosen.__name__} {self.where} (in vain)"
        self.done += 1
        return f"{chosen.__name__} {self.where}"

    # --- what it is made of

    def _place(self) -> Path:
        return self._noted(self.root / self.rng.choice(DIRECTORIES) / self.rng.choice(NAMES))

    def _noted(self, path: Path) -> Path:
        self.where.append(str(path.relative_to(self.root))[:20])
        return path

    def _existing(self) -> Path:
        found = [p for p in sorted(self.root.rglob("*")) if p.is_file() and not p.is_symlink() and self._mine(p)]
        if not found:
            raise FileNotFoundError
        return self._noted(self.rng.choice(found))

    def _directory(self) -> Path:
        found = [p for p in sorted(self.root.rglob("*")) if p.is_dir() and not p.is_symlink() and self._mine(p)]
        if not found:
            raise FileNotFoundError
        return self._noted(self.rng.choice(found))

    def _mine(self, path: Path) -> bool:
        return (
            not path_is_held(str(path.relative_to(self.root)))
            and path.name not in ANCHORS
            and not path.name.startswith(".mutagen")
        )

    def fresh(self) -> bytes:
        """A content like no other, of any length."""
        self.count += 1
        line = f"{self.root.name} {self.count} {self.rng.getrandbits(64):x}\n".encode()
        return line * self.rng.choice((1, 1, 3, 40, 3000))

    def bury(self, path: Path) -> None:
        """Take away what lies at `path`, whatever that is by now."""
        self.count += 1
        grave = self.graveyard / f"{self.root.name}-{self.count}"
        path.rename(grave)
        files = [grave] if not grave.is_dir() or grave.is_symlink() else list(grave.rglob("*"))
        self.ledger.destroyed.update(p.read_bytes() for p in files if p.is_file() and not p.is_symlink())

    def _put(self, path: Path, content: bytes) -> None:
        """All at once, and never over something: as an editor does that looks first."""
        self.count += 1
        draft = self.graveyard / f"draft-{self.root.name}-{self.count}"
        draft.write_bytes(content)
        self._wrote(content, path)
        try:
            os.link(draft, path)
        except OSError:
            self.ledger.destroyed.add(content)
            raise
        finally:
            draft.unlink()

    def _in_place(self, path: Path, change: Callable[[int], None]) -> None:
        """Change an open file; if the sync put another in its place meanwhile, it was changed in vain."""
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            before = os.pread(descriptor, 1 << 24, 0)
            self.ledger.destroyed.add(before)
            change(descriptor)
            after = os.pread(descriptor, 1 << 24, 0)
            self._wrote(after, path)
            if after != before:
                self.ledger.destroyed.discard(after)
            if not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino:
                self.ledger.destroyed.add(after)
        finally:
            os.close(descriptor)

    # --- what can be done

    def save(self) -> None:
        path = self._place()
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            self.bury(path)
        self._put(path, self.fresh())

    def overwrite(self) -> None:
        content = self.fresh()

        def change(descriptor: int) -> None:
            # The states in between are contents too: the sync may take any of them.
            os.ftruncate(descriptor, 0)
            self._passing(b"")
            os.pwrite(descriptor, content, 0)

        self._in_place(self._existing(), change)

    def append(self) -> None:
        more = self.fresh()
        self._in_place(self._existing(), lambda d: _ignore(os.pwrite(d, more, os.fstat(d).st_size)))

    def truncate(self) -> None:
        def change(descriptor: int) -> None:
            content = os.pread(descriptor, 1 << 24, 0)
            left = len(content) // 2
            # What it was before it grew is no change to a sync, and no new content: the other side's may replace it.
            while left and content[:left] in self.ledger.written:
                left -= 1
            os.ftruncate(descriptor, left)

        self._in_place(self._existing(), change)

    def slowly(self) -> None:
        def change(descriptor: int) -> None:
            for _ in range(3):
                os.pwrite(descriptor, self.fresh(), os.fstat(descriptor).st_size)
                self._passing(os.pread(descriptor, 1 << 24, 0))

        self._in_place(self._existing(), change)

    def _wrote(self, content: bytes, path: Path) -> None:
        self.ledger.written[content] = f"{self.doing} {path.relative_to(self.root.parent)}"

    def _passing(self, content: bytes) -> None:
        self.ledger.written[content] = self.doing
        self.ledger.destroyed.add(content)

    def rename(self) -> None:
        source, target = self._existing(), self._place()
        if os.path.lexists(target):
            self.bury(target)
        os.link(source, target)
        kept = target.read_bytes()
        self.bury(source)  # what is there by now need not be what was linked
        self.ledger.destroyed.discard(kept)

    def delete(self) -> None:
        self.bury(self._existing())

    def make_directory(self) -> None:
        (self.root / self.rng.choice(DIRECTORIES) / self.rng.choice(("new", "e"))).mkdir(parents=True)

    def move_directory(self) -> None:
        source, target = self._directory(), self.root / self.rng.choice(("moved", "d", "f/in"))
        if os.path.lexists(target):
            raise FileExistsError
        source.rename(target)

    def swap_directories(self) -> None:
        one, other = self._directory(), self._directory()
        between = one.with_name("between")
        if os.path.lexists(between):
            raise FileExistsError
        one.rename(between)
        other.rename(one)
        between.rename(other)

    def delete_directory(self) -> None:
        self.bury(self._directory())

    def directory_for_file(self) -> None:
        path = self._existing()
        self.bury(path)
        path.mkdir()
        self._put(path / "inner", self.fresh())

    def file_for_directory(self) -> None:
        path = self._directory()
        self.bury(path)
        self._put(path, self.fresh())

    def link(self) -> None:
        path = self._place()
        if os.path.lexists(path):
            self.bury(path)
        path.symlink_to(self.rng.choice(("a", "d", "nowhere", "./b.txt")))

    def change_mode(self) -> None:
        path = self._existing()
        path.chmod(path.stat().st_mode ^ 0o111)

    def touch(self) -> None:
        moment = self.rng.randrange(10**9, 2 * 10**9)
        os.utime(self._existing(), (moment, moment))

    def hold(self) -> None:
        """The agent makes what the guard holds; nobody minds what becomes of that in the pod."""
        path = self.root / self.rng.choice(HELD)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path) and self.root.name == "pod":
            path.write_bytes(b"evil")
            self.ledger.written[b"evil"] = self.doing
            self.ledger.destroyed.add(b"evil")


def _ignore(_: object) -> None:
    return None
