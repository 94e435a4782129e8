"""What the API server's refusals mean: HTTP status and `Status` object in, our errors out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from paude.errors import AdmissionDenied, ConnectionLost, Forbidden, LoginExpired, NotFound, PaudeError, QuotaExceeded
from paude.process import clean

_CANNOT = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"(?: in API group "(?P<group>[^"]*)")?')
_ADMISSION = (
    "violates PodSecurity",
    "unable to validate against any security context constraint",
    "ValidatingAdmissionPolicy",
    "admission webhook",
    "denied the request",
)
# The words of the LimitRanger plug-in (kubernetes, plugin/pkg/admission/limitranger).
_LIMIT_RANGE = re.compile(r"(?:minimum|maximum) [\w./-]+ usage per |max limit to request ratio per ")
_LONGEST = 1200


class Conflict(PaudeError):
    """The object exists already, or was changed meanwhile."""

    exit_code = 5


def error(code: int, body: Mapping[str, Any] | None, doing: str) -> PaudeError:
    """The error for the answer `code` to `doing` (words such as "create the pod")."""
    message = clean(str((body or {}).get("message", "")))[:_LONGEST]
    if code == 401:
        return login_expired()
    if code == 403:
        return forbidden(message, doing)
    if code == 404:
        return NotFound(f"cannot {doing}", why=message or "not found")
    if code == 409:
        return Conflict(f"cannot {doing}", why=message)
    if code == 422 and any(word in message for word in _ADMISSION):
        return AdmissionDenied(f"the cluster refuses to {doing}", why=message)
    if code in {429, 500, 502, 503, 504}:
        return ConnectionLost(f"the cluster cannot {doing} now", why=message or f"HTTP {code}", hint="try again")
    return PaudeError(f"the cluster refuses to {doing}", why=message or f"HTTP {code}")


def login_expired() -> LoginExpired:
    """The API server does not know the credentials."""
    return LoginExpired(
        "the cluster does not accept your login (any more)",
        hint="log in again, for example with `oc login`, and repeat the command",
    )


def forbidden(message: str, doing: str) -> Forbidden:
    """A 403: rights, quota and admission look alike on the wire and mean different things to the user."""
    if "exceeded quota" in message:
        return QuotaExceeded(
            f"a quota of the namespace does not let paude {doing}",
            why=message,
            hint="`paude doctor` says what is left; ask for less with --cpu, --memory, --cpu-request, --storage",
        )
    if _LIMIT_RANGE.search(message):
        return QuotaExceeded(
            f"a LimitRange of the namespace does not let paude {doing}",
            why=message,
            hint="ask for less (or more) with --cpu, --memory, --cpu-request, --memory-request, --storage",
        )
    if "it is being terminated" in message:
        return Forbidden(f"the namespace is being deleted: cannot {doing}", why=message, hint="choose one with -n")
    if any(word in message for word in _ADMISSION):
        return AdmissionDenied(f"the cluster's admission does not let paude {doing}", why=message)
    if found := _CANNOT.search(message):
        group = f".{found['group']}" if found["group"] else ""
        return Forbidden(
            f"you may not {found['verb']} {found['resource']}{group}",
            why=message,
            hint=f"ask for the right to {found['verb']} {found['resource']}{group} in this namespace",
        )
    return Forbidden(f"you may not {doing}", why=message)
