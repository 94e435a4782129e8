"""Reading: flags over environment over the workspace's paude.json over the user's file over defaults.

Files are JSON, one form for both: a setting can be moved from one to the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from paude.errors import SettingsError
from paude.settings import table
from paude.settings.kinds import FILE
from paude.settings.paths import Paths
from paude.settings.table import Setting, Settings

WORKSPACE_FILE = "paude.json"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Found:
    """One setting's value, as JSON holds it, and where it comes from."""

    setting: Setting
    value: object
    origin: str


@dataclass(frozen=True)
class Settled:
    """All settings with values, where each comes from, and what is odd about the files.

    `typed` are those that were given as flags. `brought` is what the workspace's paude.json sets of the settings that
    can let more out: by name, as JSON holds it.
    """

    values: Settings = field(default_factory=Settings)
    found: tuple[Found, ...] = ()
    warnings: tuple[str, ...] = ()
    typed: Mapping[str, object] = field(default_factory=dict)
    brought: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """What one place says: values by the setting's name, each with the words for where it was said."""

    values: Mapping[str, tuple[object, str]]
    warnings: tuple[str, ...] = ()


def read(paths: Paths, workspace: Path | None, flags: Mapping[str, object] | None = None) -> Settled:
    """Everything that is set for this user and this workspace (None: for no workspace in particular).

    `flags` are those that were given, by the setting's name. Raises SettingsError for values that make no sense.
    """
    mine = of_file(paths.user_settings, paths.user_settings, personal=True)
    theirs = Layer({})
    if workspace is not None:
        theirs = of_file(workspace / WORKSPACE_FILE, Path(WORKSPACE_FILE), personal=False)
    typed = of_flags(flags or {})
    layers = (typed, of_environment(os.environ), theirs, mine)
    found = tuple(_first(row, layers) for row in by_name().values())
    values: Settings = table.values_of({one.setting.name: one.value for one in found if one.origin})
    brought = {name: value for name, (value, _) in theirs.values.items() if by_name()[name].loosens}
    warnings = tuple(warning for layer in layers for warning in layer.warnings)
    odd = paths.config / "config.yaml"
    if odd.exists():
        warnings += (f"{odd} is not read; settings lie in {paths.user_settings.name} beside it",)
    return Settled(values, found, warnings, {name: value for name, (value, _) in typed.values.items()}, brought)


@cache
def by_name() -> dict[str, Setting]:
    """The table by the settings' names."""
    return {row.name: row for row in table.rows()}


@cache
def groups() -> frozenset[str]:
    """The names under which settings lie together."""
    parts = [name.split(".") for name in by_name()]
    return frozenset(".".join(words[:end]) for words in parts for end in range(1, len(words)))


def of_flags(flags: Mapping[str, object]) -> Layer:
    """The layer of the command line; what is None or empty was not given."""
    values = {}
    for name, value in flags.items():
        if value is not None and value != []:
            flag = by_name()[name].flag
            values[name] = (_checked(name, value, flag), flag)
    return Layer(values)


def of_environment(environ: Mapping[str, str]) -> Layer:
    """The layer of the variables; a name that is nearly one of them is told."""
    values = {}
    variables = {row.variable: row for row in by_name().values()}
    for variable, row in variables.items():
        if environ.get(variable):
            values[row.name] = (_checked(row.name, row.kind.from_text(environ[variable]), variable), variable)
    warnings = []
    for variable in environ:
        if variable.startswith("PAUDE_") and variable not in variables:
            near = _near(variable, variables, 0.9)
            warnings += [f"the variable {variable} means nothing; did you mean {near[0]}?"] if near else []
    return Layer(values, tuple(warnings))


def of_file(path: Path, shown: Path, *, personal: bool) -> Layer:
    """The layer of a file, called `shown` in messages; empty when there is none. `personal`: it is the user's own.

    Raises SettingsError when the file cannot be read or a value makes no sense.
    """
    words = plain(load(path, shown))
    values: dict[str, tuple[object, str]] = {}
    warnings: list[str] = []
    for name, value in _leaves(words):
        row = by_name().get(name)
        if row is None:
            warnings.append(f"{shown}: there is no setting {name[:80]!a}{_nearest(name)}")
        elif row.personal and not personal:
            warnings.append(f"{shown}: {name} is not taken from a workspace, only from your own settings")
        elif name in values:  # in its group, and with the group in its name
            raise SettingsError(f"{shown} says {name!a} twice", hint="leave one of them")
        elif value is not None:
            value = _checked(name, value, str(shown))
            at_home = row.kind is FILE and isinstance(value, str) and value
            values[name] = (str(path.parent / Path(str(value)).expanduser()) if at_home else value, str(shown))
    return Layer(values, tuple(warnings))


def load(path: Path, shown: Path) -> dict[str, Any]:
    """The JSON object of a file, as it stands there; empty when there is none. Raises SettingsError."""
    try:
        if not path.is_file():
            if path.exists():  # a device never ends, a pipe waits for somebody who writes
                raise SettingsError(f"{shown} is no file", hint="see docs/configuration.md for its form")
            return {}
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as exc:
        raise SettingsError(f"{shown} cannot be read", why=exc.strerror or str(exc)) from exc
    try:
        found = json.loads(data, object_pairs_hook=_each_once) if len(data) <= _LARGEST else None
    except _Twice as exc:
        raise SettingsError(f"{shown} says {str(exc)[:80]!a} twice", hint="leave one of them") from exc
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{shown} is no JSON", why=str(exc)) from exc
    if not isinstance(found, dict):
        raise SettingsError(f"{shown} is no JSON object", hint="see docs/configuration.md for its form")
    return found


class _Twice(ValueError):
    """A name that an object has twice: who reads the file may take either for what counts."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file in the one form: `backend` may also be written as an object with what belongs to it."""
    words = dict(found)
    if isinstance(words.get("backend"), dict):
        words = {**words.pop("backend"), **words}
        if "type" in words:
            words["backend"] = words.pop("type")
    words.pop("$schema", None)
    return words


def _leaves(words: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in words.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name in groups():
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _nearest(name: str) -> str:
    last = name.rpartition(".")[2]
    known = [*by_name(), *groups()]
    by_last = {full.rpartition(".")[2]: full for full in by_name()}
    near = _near(name, known, 0.6)
    near = near or [by_last[word] for word in _near(last, by_last, 0.8)]
    return f"; did you mean {near[0]}?" if near else ""


def _checked(name: str, value: object, origin: str) -> object:
    try:
        by_name()[name].kind.parse(value)
    except ValueError as exc:
        raise SettingsError(f"{origin}: {name} is {str(value)[:80]!a}", why=str(exc)) from exc
    return value


def _first(row: Setting, layers: tuple[Layer, ...]) -> Found:
    said = [layer.values[row.name] for layer in layers if row.name in layer.values]
    if not said:
        return Found(row, row.default, "")
    if not row.adds:
        return Found(row, *said[0])
    together = list(dict.fromkeys(word for value, _ in said if isinstance(value, list | tuple) for word in value))
    return Found(row, together, ", ".join(origin for _, origin in said))


def _near(name: str, known: Iterable[str], cutoff: float) -> list[str]:
    """The one of `known` that may have been meant, if there is one."""
    import difflib  # only when something is odd: it takes longer to load than the settings take to read

    return difflib.get_close_matches(name, list(known), 1, cutoff=cutoff)
