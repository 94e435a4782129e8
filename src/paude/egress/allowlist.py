"""The names that a session may reach. An empty list allows nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from paude.egress import hosts
from paude.errors import SettingsError, UsageError

GENERATION = 3
"""Of the proxy's configuration. Raised whenever the same list yields another configuration, so that a proxy's name
always says what it runs."""

# https://cloud.google.com/vertex-ai/docs/general/locations
VERTEX_REGIONS: tuple[str, ...] = (
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "europe-west10",
    "europe-west12",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
)

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # With an API key the agent needs nothing else: https://code.claude.com/docs/en/network-config
        "anthropic": ("api.anthropic.com",),
        "openai": ("api.openai.com",),
        # The regional names are siblings of the global one, not below it; `rep` are the multi-region endpoints.
        "vertex": (
            "oauth2.googleapis.com",
            "aiplatform.googleapis.com",
            "aiplatform.us.rep.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
            *(f"{region}-aiplatform.googleapis.com" for region in VERTEX_REGIONS),
        ),
    }
)
"""Lists by name: exact hosts, and no more than the model's API needs."""


@dataclass(frozen=True)
class Allowlist:
    """Host names in normal form, sorted, each once; `*.NAME` stands for every name below NAME.

    Whatever is given is normalised; raises SettingsError for an entry that is no host name.
    """

    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", tuple(sorted({hosts.normal(host) for host in self.hosts})))

    @classmethod
    def of(cls, entries: Iterable[str]) -> Allowlist:
        """A list from host names and names of presets (words without a dot).

        Raises SettingsError for a word that is neither.
        """
        return cls(tuple(host for entry in entries for host in _expanded(entry)))

    @property
    def digest(self) -> str:
        """12 hex digits that stand for this list and the configuration made of it; part of the proxy's name."""
        text = "\n".join([f"paude-proxy {GENERATION}", *self.hosts])
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:12]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each entry through which data can be carried to somebody else."""
        return tuple(line for line in map(hosts.warning, self.hosts) if line is not None)

    @property
    def exact(self) -> tuple[str, ...]:
        """The entries that stand for one name."""
        return tuple(host for host in self.hosts if not hosts.is_wildcard(host))

    @property
    def wildcards(self) -> tuple[str, ...]:
        """The names below which everything is allowed, without the mark."""
        return tuple(hosts.base(host) for host in self.hosts if hosts.is_wildcard(host))

    def allows(self, name: str) -> bool:
        """Whether the host `name` (in any spelling) may be reached."""
        try:
            wanted = hosts.normal(name)
        except SettingsError:
            return False
        return not hosts.is_wildcard(wanted) and any(hosts.covers(host, wanted) for host in self.hosts)

    def with_(self, entries: Iterable[str]) -> Allowlist:
        """This list and more entries."""
        return Allowlist(self.hosts + Allowlist.of(entries).hosts)

    def check_listed(self, hosts: Iterable[str]) -> None:
        """Raise UsageError for a host that is not on the list."""
        unknown = [host for host in Allowlist.of(hosts).hosts if host not in self.hosts]
        if unknown:
            raise UsageError(f"{unknown[0]} is not on the list", why=f"allowed: {', '.join(self.hosts) or 'nothing'}")

    def without(self, entries: Iterable[str]) -> Allowlist:
        """This list less the given entries."""
        gone = frozenset(Allowlist.of(entries).hosts)
        return Allowlist(tuple(host for host in self.hosts if host not in gone))


def _expanded(entry: str) -> tuple[str, ...]:
    if "." in entry or not entry.isascii() or not entry.isalpha():
        return (entry,)
    if entry not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise SettingsError(f"there is no list of hosts named {entry[:80]!a}", hint=f"known lists: {known}")
    return PRESETS[entry]
