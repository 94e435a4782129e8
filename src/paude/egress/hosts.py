"""One entry of an allowlist: how a host name is written, what is refused, and what is worth a warning."""

from __future__ import annotations

import re

import idna

from paude.errors import SettingsError

FENCE_HOST = "fence.paude.invalid"
"""Answered by the proxy itself with its own facts; can never be on a list."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ALPHABETIC = re.compile(r"[a-z]")
_LONGEST = 253
_WILDCARD = "*."
# Names that never lead to a public host (RFC 6761, RFC 6762, RFC 9476), so an entry for one is a mistake.
_SPECIAL = frozenset({"invalid", "local", "localhost", "onion", "alt", "arpa"})
# Second labels under which country registries sell names: `*.co.uk` is as wide as `*.com`.
_REGISTRY = frozenset(
    (
        "ac",
        "co",
        "com",
        "edu",
        "gob",
        "gov",
        "go",
        "gv",
        "ltd",
        "me",
        "mil",
        "ne",
        "net",
        "nom",
        "or",
        "org",
        "plc",
        "sch",
    )
)
_ANYONE = {
    "amazonaws.com": "anyone can own storage there",
    "azureedge.net": "anyone can own a host there",
    "blob.core.windows.net": "anyone can own storage there",
    "cloudfront.net": "anyone can own a host there",
    "docs.google.com": "anyone can own a form there",
    "script.google.com": "anyone can own a program there",
    "gist.github.com": "anyone can publish there",
    "github.com": "anyone can push to a repository of his own there",
    "gitlab.com": "anyone can push to a repository of his own there",
    "bitbucket.org": "anyone can push to a repository of his own there",
    "github.io": "anyone can own a host there",
    "google.com": "it includes forms and files that anyone can own",
    "googleapis.com": "it includes storage that anyone can own",
    "pages.dev": "anyone can own a host there",
    "pastebin.com": "anyone can publish there",
    "storage.googleapis.com": "anyone can own storage there",
    "vercel.app": "anyone can own a host there",
    "workers.dev": "anyone can own a program there",
}
_AS_WILDCARD = frozenset({"google.com", "googleapis.com", "amazonaws.com"})


def normal(text: str) -> str:
    """`text` as it stands on an allowlist: lower case, punycode, no dot at the end.

    `*.NAME` stays a wildcard: every name below NAME, not NAME itself. Raises SettingsError for whatever is not a
    host name (an address in any notation, a URL, a port, blanks, control characters) or is wider than one owner.
    """
    wild = text.startswith(_WILDCARD)
    name = _ascii(text, text[len(_WILDCARD) :] if wild else text)
    labels = name.split(".")
    _check(text, name, labels)
    if wild:
        _check_width(text, labels)
    return _WILDCARD + name if wild else name


def is_name(text: str) -> bool:
    """Whether `text` could stand on an allowlist for one host."""
    try:
        return not is_wildcard(normal(text))
    except SettingsError:
        return False


def is_wildcard(entry: str) -> bool:
    """Whether a normalised entry covers more than one name."""
    return entry.startswith(_WILDCARD)


def base(entry: str) -> str:
    """The name of a normalised entry, without the wildcard's mark."""
    return entry.removeprefix(_WILDCARD)


def covers(entry: str, name: str) -> bool:
    """Whether a normalised entry allows a normalised name."""
    return name.endswith("." + base(entry)) if is_wildcard(entry) else name == entry


def warning(entry: str) -> str | None:
    """Why an accepted entry is a risk, or None."""
    name = base(entry)
    wild = is_wildcard(entry)
    reason = next((why for host, why in _ANYONE.items() if _within(host, name, wild=wild)), None)
    if reason is not None:
        return f"{entry} can carry data out: {reason}"
    return f"{entry} allows every name below {name}, so names can carry data to its owner" if wild else None


def _within(host: str, name: str, *, wild: bool) -> bool:
    if wild and (host == name or host.endswith("." + name)):
        return True
    return host not in _AS_WILDCARD and (name == host or name.endswith("." + host))


def _ascii(text: str, name: str) -> str:
    name = name.removesuffix(".")
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii").removesuffix(".")
    except (idna.IDNAError, UnicodeError) as exc:
        raise _refused(text, "it is not a name that the domain name system knows") from exc


def _check(text: str, name: str, labels: list[str]) -> None:
    if len(name) > _LONGEST:
        raise _refused(text, f"it is longer than {_LONGEST} characters")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(text, "only letters, digits and inner hyphens, joined by dots, make a host name")
    if len(labels) < 2:
        raise _refused(text, "a single word is no public host name")
    if not _ALPHABETIC.match(labels[-1]):
        raise _refused(text, "addresses cannot be allowed, only names")
    if labels[-1] in _SPECIAL:
        raise _refused(text, f"names below .{labels[-1]} are no public hosts")


def _check_width(text: str, labels: list[str]) -> None:
    country = len(labels[-1]) == 2
    if len(labels) < 2 or (len(labels) == 2 and country and labels[0] in _REGISTRY):
        raise _refused(text, "the wildcard covers names of many owners")


def _refused(text: str, why: str) -> SettingsError:
    shown = ascii(text[:80])
    return SettingsError(f"{shown} cannot be on the allowlist", why=why, hint="write a host name, like api.example.com")
