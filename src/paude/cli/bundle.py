"""The tar file that goes with a bug report: what paude knows of itself; no secrets, nothing of the user's files."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paude import __version__
from paude.errors import SettingsError
from paude.redaction import HIDDEN, redact
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, Settled, shown

_LOG_BYTES = 256 * 1024
_LOGS = ("supervisor.log", "sync.log")


def write(target: Path, paths: Paths, settled: Settled, facts: Mapping[str, Any]) -> None:
    """Write the tar file, gzipped, 0600. Raises SettingsError when that cannot be done, or it is there already."""
    try:
        with target.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as bundle:
            target.chmod(0o600)
            for name, text in _contents(paths, settled, facts):
                data = redact(text).encode("utf-8", "replace")
                entry = tarfile.TarInfo(f"paude-report/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                bundle.addfile(entry, io.BytesIO(data))
    except OSError as exc:
        raise SettingsError(f"{target} cannot be written", why=exc.strerror or str(exc)) from exc


def _contents(paths: Paths, settled: Settled, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    versions = {"paude": __version__, "python": platform.python_version(), "system": platform.platform()}
    yield "versions.json", json.dumps(versions, indent=1)
    yield "checks.json", json.dumps(facts, indent=1)
    yield "settings.json", json.dumps(_settings(settled), indent=1)
    found = [asdict(one) if isinstance(one, Record) else {"unreadable": one.why} for one in records.load_all(paths)]
    yield "sessions.json", json.dumps(found, indent=1)
    for log in _LOGS:
        if (paths.state / log).is_file():
            yield log, _end_of(paths.state / log)


def _settings(settled: Settled) -> dict[str, Any]:
    """The settings, without the values of build arguments: they are often tokens, and have no form to know them by."""
    facts = shown.as_json(settled.found)
    arguments = facts["build.args"]
    arguments["value"] = dict.fromkeys(dict(arguments["value"]), HIDDEN)
    return facts


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace")
