"""The one line in the user's ~/.ssh/config that makes ssh read paude's file. Only ever this line is added or taken."""

from __future__ import annotations

import difflib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError


@dataclass(frozen=True)
class Change:
    """What is to become of a file: its text `before` (None: there is none) and `after`."""

    file: Path
    before: str | None
    after: str

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return self.after != (self.before or "")

    def diff(self) -> str:
        """The change for people to read."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            self.after.splitlines(),
            str(self.file) if self.before is not None else "(no file)",
            str(self.file),
            n=2,
            lineterm="",
        )
        return "\n".join(lines)

    def write(self) -> None:
        """Make it so: whole or not at all, through a link, with the mode that the file has. Raises SettingsError."""
        target = self.file.resolve()
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = target.stat().st_mode & 0o777 if self.before is not None else 0o600
            with tempfile.NamedTemporaryFile("w", newline="", dir=target.parent, delete=False) as fresh:
                fresh.write(self.after)
            os.chmod(fresh.name, mode)
            os.replace(fresh.name, target)
        except OSError as exc:
            raise SettingsError(f"{self.file} cannot be written", why=exc.strerror or str(exc)) from exc


def line_for(config: Path) -> str:
    """The line that includes paude's file `config`."""
    return f'Include "{config}"'


def installing(file: Path, line: str) -> Change:
    """The line as the first one: an Include after a Host block would belong to that block."""
    before = _read(file)
    text = before or ""
    return Change(file, before, text if line in _outside_blocks(text) else f"{line}\n{_without(text, line)}")


def uninstalling(file: Path, line: str) -> Change:
    """Every such line gone, wherever it is."""
    before = _read(file)
    return Change(file, before, _without(before or "", line))


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{file} cannot be read", why=str(exc)) from exc


def _outside_blocks(text: str) -> list[str]:
    """The lines before the first block."""
    found = []
    for line in text.splitlines():
        if line.strip().lower().startswith(("host ", "host=", "host\t", "match ", "match=", "match\t")):
            break
        found.append(line.strip())
    return found


def _without(text: str, line: str) -> str:
    return "".join(one for one in text.splitlines(keepends=True) if one.strip() != line)
