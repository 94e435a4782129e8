"""What a start is told, as far as it is the same in every kind of place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paude.egress import squid
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.images.build import BuildSettings
from paude.images.context import ImageSpec
from paude.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, complete; each place adds what only its steps need to know.

    `uid` is random and made once, `owner` is a label-safe form of the user's name.
    """

    name: str
    uid: str
    owner: str
    fresh: bool
    workspace: Path
    agent: str
    command: Sequence[str]
    allowlist: Allowlist
    company: Company
    walled: bool
    gate_image: ImageSpec
    agent_image: ImageSpec
    proxy_image: ImageSpec
    build: BuildSettings
    settings: Settings
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    kept: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Credentials for the gate alone."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def serves(self) -> str:
        """The digest of the list: the name of the proxy that the session needs."""
        return squid.identity(self.allowlist, squid.Options.of(self.company))
