"""Names of sessions: what is allowed, and a good one for a directory. Pure but for the random characters."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path

from paude.errors import UsageError

# A StatefulSet's pods carry the label controller-revision-hash = NAME-HASH, of at most 63 characters:
# with the prefix `paude-` longer names never get a pod.
LONGEST = 46
RANDOM_LENGTH = 4
# No vowels and no look-alikes: the four characters neither spell a word nor are misread.
_RANDOM = "bcdfghjkmnpqrstvwxz23456789"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SHARED_PROXY = re.compile(r"proxy-[0-9a-f]{12}")
# `paude-baseline` and `paude-proxy-HASH` belong to all sessions of a namespace; the others read like something else.
_RESERVED = frozenset(
    ("all", "baseline", "default", "kube-node-lease", "kube-public", "kube-system", "localhost", "none", "proxy")
)
_FALLBACK = "session"


def validate(name: str) -> str:
    """`name`, if a session may have it. Raises UsageError that says what is wrong."""
    problem = _problem(name)
    if problem:
        shown = ascii(name[:60])
        raise UsageError(f"{shown} cannot be a session's name", why=problem, hint="for example `--name my-project`")
    return name


def derive(directory: Path, choose: Callable[[str], str] = secrets.choice) -> str:
    """A valid name from the directory's own and four random characters."""
    tail = "".join(choose(_RANDOM) for _ in range(RANDOM_LENGTH))
    stem = slug(directory.name)[: LONGEST - RANDOM_LENGTH - 1].strip("-")
    return f"{stem or _FALLBACK}-{tail}"


def slug(text: str) -> str:
    """`text` in the characters of a name: accents dropped, anything else a dash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def _problem(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, {LONGEST} are allowed"
    if not _NAME.fullmatch(name):
        return "it may have lower-case letters, digits and dashes, and neither begins nor ends with a dash"
    if name in _RESERVED or _SHARED_PROXY.fullmatch(name):
        return "it is reserved"
    return ""
