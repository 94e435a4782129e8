"""One file out of a package of npm, kept in the cache by version. npm itself checks the package's integrity."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from paude import process, report
from paude.errors import CommandFailed, ImageError, SettingsError

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.-]+)?")
_PASSED = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_PREFIX = "npm_config_"


@dataclass(frozen=True)
class NpmFile:
    """The file `member` of the published package `package@version`."""

    package: str
    version: str
    member: str

    @property
    def identity(self) -> str:
        """What stands for the file's content in a hash: published versions never change."""
        return f"npm:{self.package}@{self.version}/{self.member}"


def checked_version(text: str) -> str:
    """`text`, if it is one exact version. Raises SettingsError else."""
    if _VERSION.fullmatch(text):
        return text
    raise SettingsError(f"{text[:40]!r} is no version", hint="write an exact version such as 1.2.3")


async def fetch(wanted: NpmFile, cache: Path) -> Path:
    """The path of the file below `cache`, fetched once per version and executable.

    Raises ImageError when npm is missing, cannot get the package, or the package has no such file.
    """
    kept = cache / "npm" / wanted.package.replace("/", "+") / wanted.version / Path(wanted.member).name
    if kept.is_file():
        return kept
    report.line(f"fetching {wanted.package} {wanted.version}")
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetch-") as name:
        await _pack(wanted, Path(name))
        await anyio.to_thread.run_sync(_unpack, Path(name), wanted, kept)
    return kept


async def _pack(wanted: NpmFile, directory: Path) -> None:
    spec = f"{wanted.package}@{wanted.version}"
    quiet = ("--loglevel=error", "--no-progress", "--ignore-scripts", "--no-update-notifier")
    argv = ("npm", "pack", *quiet, f"--pack-destination={directory}", spec)
    try:
        await process.run(argv, cwd=directory, env=_environment(os.environ))
    except process.ToolMissing as exc:
        raise ImageError(
            f"{wanted.package} cannot be fetched without npm",
            hint="install Node.js with npm and try again, or start with `--agent shell`",
        ) from exc
    except CommandFailed as exc:
        raise ImageError(
            f"npm cannot fetch {spec}", why=_last(exc.stderr), hint=f"try `npm view {spec} version`"
        ) from exc


def _unpack(directory: Path, wanted: NpmFile, kept: Path) -> None:
    package = next(directory.glob("*.tgz"), directory / "nothing")
    partial = directory / "unpacked"
    try:
        with tarfile.open(package) as tar:
            source = tar.extractfile(wanted.member)
            if source is None:
                raise ImageError(f"{wanted.member} of {wanted.package} is no file")
            with source, partial.open("wb") as out:
                shutil.copyfileobj(source, out, 1024 * 1024)
    except (KeyError, tarfile.TarError) as exc:
        raise ImageError(f"{wanted.package} {wanted.version} has no {wanted.member}", why=str(exc)) from exc
    except OSError as exc:
        raise ImageError(f"{wanted.package} cannot be unpacked", why=str(exc), hint="is the disk full?") from exc
    partial.chmod(0o755)
    os.utime(partial, (0, 0))
    partial.replace(kept)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    passed = {k: v for k, v in environ.items() if k.upper() in _PASSED or k.lower().startswith(_PASSED_PREFIX)}
    return process.quiet_environment(**passed)


def _last(text: str) -> str:
    said = (re.sub(r"^npm (?:error|ERR!) ?", "", line) for line in text.splitlines())
    return "\n".join([line for line in said if line.strip() and "complete log of this run" not in line][-4:])
