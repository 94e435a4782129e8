"""The key or token with which Claude Code speaks to Anthropic's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paude.credentials.hidden import Hidden
from paude.credentials.sources import json_object, read
from paude.errors import SettingsError

# The order of Claude Code itself: a key beats a token.
VARIABLES = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
_LONGEST = 8192


@dataclass(frozen=True)
class ApiKey:
    """A key (`variable` is where Claude Code looks for it) and where it was found; `expires` when that is known."""

    variable: str
    value: Hidden
    origin: str
    expires: datetime | None = None

    @property
    def long_lived(self) -> bool:
        """Whether it is good until somebody revokes it, as far as can be known."""
        return self.expires is None


def find(environ: Mapping[str, str], home: Path, now: datetime) -> ApiKey | None:
    """The first of: the variables, the files that `VARIABLE_FILE` names, Claude Code's own login on this machine.

    Of that login only the access token is taken, which expires within hours, never the refresh token.
    Raises SettingsError for a key that cannot be one and for a named file that cannot be used.
    """
    given = of_variables(environ, VARIABLES)
    if given is not None:
        return given
    return _login(Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude") / ".credentials.json", now)


def of_variables(environ: Mapping[str, str], variables: Sequence[str]) -> ApiKey | None:
    """The first of: these variables, the files that `VARIABLE_FILE` names. Raises SettingsError."""
    for variable in variables:
        if environ.get(variable, "").strip():
            return ApiKey(variable, _checked(environ[variable].encode(), variable), "the environment")
    for variable in variables:
        if environ.get(f"{variable}_FILE"):
            path = Path(environ[f"{variable}_FILE"])
            data = read(path, f"the file of {variable}_FILE")
            return ApiKey(variable, _checked(data, f"{variable}_FILE"), str(path))
    return None


def _login(path: Path, now: datetime) -> ApiKey | None:
    if not path.is_file():
        return None
    what = "Claude Code's login"
    login = json_object(read(path, what), path, what).get("claudeAiOauth")
    token, until = (login.get("accessToken"), login.get("expiresAt")) if isinstance(login, dict) else (None, None)
    if not isinstance(token, str) or not isinstance(until, int | float):
        return None
    expires = _moment(until)
    if expires is None or expires <= now:
        return None
    return ApiKey(VARIABLES[1], _checked(token.encode(), what), str(path), expires)


def _moment(milliseconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _checked(data: bytes, where: str) -> Hidden:
    value = data.strip()
    if not value or len(value) > _LONGEST or not all(0x21 <= byte <= 0x7E for byte in value):
        raise SettingsError(f"{where} holds no key", why="a key is one line of letters, digits and signs")
    return Hidden(value)
