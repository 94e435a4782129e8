"""Google's application-default credentials, for Claude on Vertex AI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paude.credentials.hidden import Hidden
from paude.credentials.sources import json_object, read
from paude.credentials.web import host_of
from paude.errors import SettingsError

_WHAT = "the application-default credentials"
_DEFAULT = ".config/gcloud/application_default_credentials.json"
_TOKENS = "https://oauth2.googleapis.com/token"
_LOG_IN = "log in with `gcloud auth application-default login`"
_NEEDED = {
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "service_account": ("client_email", "private_key", "token_uri"),
    "impersonated_service_account": ("service_account_impersonation_url", "source_credentials"),
}
_PROJECT = re.compile(r"[a-z][a-z0-9.:-]{3,99}")
_REGION = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Vertex:
    """The credentials file as it is, its kind, and what Claude Code must know beside it.

    `hosts` are those at which it is made into access tokens.
    """

    adc: Hidden
    kind: str
    project: str
    region: str
    origin: str
    hosts: tuple[str, ...] = ()


def find(environ: Mapping[str, str], home: Path) -> Vertex | None:
    """The credentials when the user's own Claude Code works with Vertex (CLAUDE_CODE_USE_VERTEX), else None.

    Raises SettingsError for a file that cannot be used, and when project or region are missing.
    """
    if environ.get("CLAUDE_CODE_USE_VERTEX", "").strip().lower() not in _TRUE:
        return None
    path = _path(environ, home)
    if not path.exists() and not environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        raise SettingsError("Vertex is asked for and there are no application-default credentials", hint=_LOG_IN)
    data = read(path, _WHAT)
    content = json_object(data, path, _WHAT)
    kind = _kind(content, path)
    project = _word(_project(environ, content), _PROJECT, "ANTHROPIC_VERTEX_PROJECT_ID", "the project")
    region = _word(environ.get("CLOUD_ML_REGION", ""), _REGION, "CLOUD_ML_REGION", "the region, such as us-east5")
    return Vertex(Hidden(data), kind, project, region, str(path), _hosts(content, path))


def _hosts(content: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    what = f"an address in {str(path)!r}"
    if content["type"] == "impersonated_service_account":
        own = _hosts(content["source_credentials"], path)
        return (*own, host_of(str(content["service_account_impersonation_url"]), what))
    return (host_of(str(content.get("token_uri") or _TOKENS), what),)


def _path(environ: Mapping[str, str], home: Path) -> Path:
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    configured = environ.get("CLOUDSDK_CONFIG")
    return Path(configured) / Path(_DEFAULT).name if configured else home / _DEFAULT


def _project(environ: Mapping[str, str], content: Mapping[str, Any]) -> str:
    names = ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
    return next((environ[name] for name in names if environ.get(name)), str(content.get("quota_project_id") or ""))


def _word(value: str, pattern: re.Pattern[str], variable: str, meaning: str) -> str:
    value = value.strip()
    if pattern.fullmatch(value):
        return value
    why = "it is not set" if not value else f"{value[:40]!a} is none"
    raise SettingsError(f"Vertex needs {variable}", why=why, hint=f"set it to {meaning}")


def _kind(content: Mapping[str, Any], path: Path) -> str:
    kind = content.get("type")
    if kind == "external_account":
        raise _unusable(path, _external(content), "use `gcloud auth application-default login` or a service account")
    if not isinstance(kind, str) or kind not in _NEEDED:
        shown = ascii(kind)[:40] if isinstance(kind, str) else "none"
        raise _unusable(path, f"its type is {shown}", _LOG_IN)
    missing = [name for name in _NEEDED[kind] if not content.get(name)]
    if missing:
        raise _unusable(path, f"it has no {', '.join(missing)}", _LOG_IN)
    source = content.get("source_credentials")
    if kind == "impersonated_service_account":
        if not isinstance(source, dict) or source.get("type") == kind:
            raise _unusable(path, "its source_credentials are none", _LOG_IN)
        _kind(source, path)
    return kind


def _external(content: Mapping[str, Any]) -> str:
    source = content.get("credential_source")
    if isinstance(source, dict) and "executable" in source:
        return "it wants a program run on this machine, which paude never does for a file"
    return "its source is a file or an address of this machine, which the session cannot reach"


def _unusable(path: Path, why: str, hint: str) -> SettingsError:
    return SettingsError(f"{_WHAT} {str(path)!r} cannot be used", why=why, hint=hint)
