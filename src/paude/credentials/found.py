"""What was found for a session, what of it needs the user's consent, and the Secret made of it.

The keys of the Secret: `env.NAME` becomes the agent's variable NAME; `adc.json` and `gitconfig` are files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paude.credentials import anthropic, identity, vertex
from paude.credentials.anthropic import AnthropicKey
from paude.credentials.identity import GitIdentity
from paude.credentials.vertex import Vertex

# Where the agent's container sees the Secret.
MOUNT = "/run/secrets/paude"
_KINDS = {
    "authorized_user": "your Google login (a refresh token)",
    "service_account": "the key of a Google service account",
    "impersonated_service_account": "your Google login (a refresh token, used to impersonate a service account)",
}


@dataclass(frozen=True)
class Egress:
    """The lists of hosts that these credentials are good for; `region` narrows that of Vertex."""

    presets: tuple[str, ...]
    region: str = ""


@dataclass(frozen=True)
class Found:
    """What this machine has for the agent; each part may be missing."""

    anthropic_key: AnthropicKey | None = None
    vertex: Vertex | None = None
    git_identity: GitIdentity | None = None

    @property
    def needs_consent(self) -> tuple[str, ...]:
        """One sentence for each thing that stays valid and would lie where the agent can read it."""
        sentences = []
        if self.anthropic_key is not None and self.anthropic_key.long_lived:
            what = f"{self.anthropic_key.variable} (from {self.anthropic_key.origin})"
            sentences.append(_sentence(what, "at Anthropic"))
        if self.vertex is not None:
            what = f"{_KINDS[self.vertex.kind]} (from {self.vertex.origin})"
            sentences.append(_sentence(what, "at Google"))
        return tuple(sentences)

    @property
    def egress(self) -> Egress:
        """The hosts that these credentials are for."""
        if self.vertex is not None:
            return Egress(("vertex",), self.vertex.region)
        return Egress(("anthropic",)) if self.anthropic_key is not None else Egress(())

    @property
    def expires(self) -> datetime | None:
        """When the agent can no longer work with it; None when that is not known or never."""
        return self.anthropic_key.expires if self.anthropic_key is not None else None

    def summary(self) -> tuple[str, ...]:
        """One line for each part, without any secret: what it is and where it was found."""
        lines = []
        if self.anthropic_key is not None:
            until = f", valid until {self.anthropic_key.expires:%Y-%m-%d %H:%M} UTC" if self.expires else ""
            lines.append(f"{self.anthropic_key.variable} from {self.anthropic_key.origin}{until}")
        if self.vertex is not None:
            lines.append(f"Vertex project {self.vertex.project}, region {self.vertex.region}, {self.vertex.origin}")
        if self.git_identity is not None:
            lines.append(f"git identity {self.git_identity.name} <{self.git_identity.email}>")
        return tuple(lines)


async def discover(environ: Mapping[str, str], home: Path, workspace: Path, *, now: datetime | None = None) -> Found:
    """What this machine has for an agent that works on `workspace`.

    With Vertex no key of Anthropic's is taken: only what is needed travels.
    Raises SettingsError for a file or variable that is meant and cannot be used.
    """
    google = vertex.find(environ, home)
    key = None if google else anthropic.find(environ, home, now or datetime.now(UTC))
    return Found(key, google, await identity.find(environ, home, workspace))


def secret_data(found: Found, consent: bool) -> dict[str, bytes]:
    """The data of the session's Secret; without `consent` it lacks what `needs_consent` speaks of."""
    data: dict[str, bytes] = {}
    key = found.anthropic_key
    if key is not None and (consent or not key.long_lived):
        data[f"env.{key.variable}"] = key.value.reveal()
    if found.vertex is not None and consent:
        data |= _vertex_data(found.vertex)
    if found.git_identity is not None:
        data["gitconfig"] = found.git_identity.gitconfig()
    return data


def _vertex_data(google: Vertex) -> dict[str, bytes]:
    return {
        "adc.json": google.adc.reveal(),
        "env.GOOGLE_APPLICATION_CREDENTIALS": f"{MOUNT}/adc.json".encode(),
        "env.CLAUDE_CODE_USE_VERTEX": b"1",
        "env.ANTHROPIC_VERTEX_PROJECT_ID": google.project.encode(),
        "env.CLOUD_ML_REGION": google.region.encode(),
    }


def _sentence(what: str, where: str) -> str:
    return (
        f"{what} will lie in the agent's container: programs there can read it, and it stays valid until you "
        f"revoke it {where}"
    )
