"""What was found for a session, what of it needs the user's consent, and the Secrets made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from paude.credentials import anthropic, identity, model, vertex
from paude.credentials.anthropic import ApiKey
from paude.credentials.identity import GitIdentity
from paude.credentials.model import Model
from paude.credentials.vertex import Vertex

# Where the gate answers as Google's metadata service would (`paths.MetadataPort` of its program), and what makes
# Google's libraries believe in it without looking for the real one.
METADATA = {"GCE_METADATA_HOST": "127.0.0.1:2224", "METADATA_SERVER_DETECTION": "assume-present"}


_KINDS = {
    "authorized_user": "your Google login (a refresh token)",
    "service_account": "the key of a Google service account",
    "impersonated_service_account": "your Google login (a refresh token, used to impersonate a service account)",
}


_OPENAI = ("OPENAI_API_KEY",)
_SERVICES = dict.fromkeys(_OPENAI, "openai")


@dataclass(frozen=True)
class Parcel:
    """What goes into a session's Secrets: `agent` where the agent reads it, `gate` where only the gate does."""

    agent: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    gate: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Egress:
    """The hosts that these credentials are good for: lists by name, and single ones."""

    presets: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What this machine has for the agent; each part may be missing."""

    api_key: ApiKey | None = None
    vertex: Vertex | None = None
    git_identity: GitIdentity | None = None
    model: Model = field(default_factory=Model)

    @property
    def needs_consent(self) -> tuple[str, ...]:
        """One sentence for each thing that stays valid and would lie where the agent can read it."""
        sentences = []
        if self.api_key is not None and self.api_key.long_lived:
            what = f"{self.api_key.variable} (from {self.api_key.origin})"
            sentences.append(_sentence(what))
        return tuple(sentences)

    @property
    def egress(self) -> Egress:
        """The hosts that these credentials are for."""
        key = self.api_key
        if self.vertex is None and key is None:
            return Egress()
        service = "vertex" if self.vertex is not None else _SERVICES.get(key.variable if key else "", "anthropic")
        tokens = self.vertex.hosts if self.vertex is not None else ()
        # Where the user's own address answers, the usual ones are not needed.
        return Egress((), (*tokens, self.model.host)) if self.model.host else Egress((service,), tokens)

    @property
    def expires(self) -> datetime | None:
        """When the agent can no longer work with it; None when that is not known or never.

        What the gate keeps is renewed there.
        """
        return self.api_key.expires if self.api_key is not None else None

    def summary(self) -> tuple[str, ...]:
        """One line for each part, without any secret: what it is and where it was found."""
        lines = []
        if self.api_key is not None:
            until = f", valid until {self.api_key.expires:%Y-%m-%d %H:%M} UTC" if self.expires else ""
            lines.append(f"{self.api_key.variable} from {self.api_key.origin}{until}")
        if self.vertex is not None:
            lines.append(f"Vertex project {self.vertex.project}, region {self.vertex.region}")
            lines.append(f"access tokens; {_KINDS[self.vertex.kind]}, from {self.vertex.origin}, stays with the gate")
        if self.model.host:
            lines.append(f"the model answers at {self.model.host}")
        if self.git_identity is not None:
            lines.append(f"git identity {self.git_identity.name} <{self.git_identity.email}>")
        return tuple(lines)


async def discover(
    environ: Mapping[str, str], home: Path, workspace: Path, *, agent: str = "claude", now: datetime | None = None
) -> Found:
    """What this machine has for an agent that works on `workspace`.

    With Vertex no key of Anthropic's is taken: only what is needed travels.
    Raises SettingsError for a file or variable that is meant and cannot be used.
    """
    if agent == "codex":
        key = anthropic.of_variables(environ, _OPENAI)
        return Found(key, None, await identity.find(environ, home, workspace))
    google = vertex.find(environ, home)
    key = None if google else anthropic.find(environ, home, now or datetime.now(UTC))
    chosen = model.find(environ, "vertex" if google else "anthropic") if google or key else Model()
    own = await identity.find(environ, home, workspace)
    return Found(key, google, own, chosen)


def parcel(found: Found, consent: bool) -> Parcel:
    """The data of the session's Secrets; without `consent` they lack what `needs_consent` speaks of.

    The keys: `env.NAME` becomes the agent's variable NAME; `gitconfig` and `adc.json` are files.
    """
    agent: dict[str, bytes] = {}
    gate: dict[str, bytes] = {}
    key = found.api_key
    if key is not None and (consent or not key.long_lived):
        agent[f"env.{key.variable}"] = key.value.reveal()
    if found.vertex is not None:
        gate["adc.json"] = found.vertex.adc.reveal()
        agent |= _variables(_vertex_variables(found.vertex))
    if found.git_identity is not None:
        agent["gitconfig"] = found.git_identity.gitconfig()
    return Parcel({**agent, **_variables(found.model.variables)}, gate)


def _vertex_variables(google: Vertex) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_PROJECT_ID": google.project,
        "CLOUD_ML_REGION": google.region,
        **METADATA,
    }


def _variables(variables: Mapping[str, str]) -> dict[str, bytes]:
    return {f"env.{name}": value.encode() for name, value in variables.items()}


def _sentence(what: str) -> str:
    return (
        f"{what} will lie in the agent's container: programs there can read it, and it stays valid until you "
        "revoke it where it was made"
    )
