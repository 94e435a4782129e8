"""Keys of one session: made anew for it, known to nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key in OpenSSH's two forms: the private one without a passphrase, the public one as one line."""

    private_openssh: str = field(repr=False)
    public_openssh: str


def generate(comment: str) -> KeyPair:
    """A new ed25519 key; takes well under a millisecond, once the library is loaded."""
    # A tenth of a second, which a start spends in a thread beside what it waits for.
    from paude.ssh.library import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    return KeyPair(
        private_openssh=key.export_private_key("openssh").decode("ascii"),
        public_openssh=key.export_public_key("openssh").decode("utf-8").strip(),
    )
