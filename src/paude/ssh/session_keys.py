"""The keys of a session: two sshds, each with a host key of ours and one client that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError
from paude.ssh import keys, ssh_config
from paude.ssh.keys import KeyPair


@dataclass(frozen=True)
class SessionKeys:
    """Host and client key of the gate's and of the agent's sshd."""

    gate_host: KeyPair
    gate_client: KeyPair
    agent_host: KeyPair
    agent_client: KeyPair

    def gate_secret(self) -> dict[str, bytes]:
        """The files of the gate's Secret."""
        return _secret(self.gate_host, self.gate_client, "restrict")

    def agent_secret(self) -> dict[str, bytes]:
        """The files of the agent's Secret."""
        return _secret(self.agent_host, self.agent_client, "restrict,pty,port-forwarding")

    def laptop_secret(self) -> dict[str, bytes]:
        """The files with which another laptop of the user can be one end; no pod mounts them."""
        pairs = zip(_FILES, (self.gate_host, self.gate_client, self.agent_host, self.agent_client), strict=True)
        files = {}
        for file, pair in pairs:
            files[file] = pair.private_openssh.encode()
            files[f"{file}.pub"] = f"{pair.public_openssh}\n".encode()
        return files


_FILES = ("host_gate", "id_gate", "host_agent", "id_agent")


def make(directory: Path, name: str) -> SessionKeys:
    """The session's keys: those in its directory, else new ones, written there 0600.

    Raises SettingsError when the directory cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SessionKeys(*(_load(directory, file) or _new(directory, file, name) for file in _FILES))
    except OSError as exc:
        raise SettingsError("the session's keys cannot be stored", why=str(exc)) from exc


def write_known_hosts(directory: Path, name: str, made: SessionKeys) -> None:
    """The known_hosts file of the session."""
    text = ssh_config.known_hosts(name, gate=made.gate_host.public_openssh, agent=made.agent_host.public_openssh)
    (directory / "known_hosts").write_text(text)


def restore(directory: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Put what `laptop_secret` gave into the session's directory on this machine. Raises SettingsError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in (*_FILES, *(f"{file}.pub" for file in _FILES)):
            (directory / file).touch(mode=0o600)
            (directory / file).write_bytes(files[file])
    except KeyError as exc:
        raise SettingsError(f"what the cluster keeps of session {name} is not whole", why=f"no {exc.args[0]}") from exc
    except OSError as exc:
        raise SettingsError("the session's keys cannot be stored", why=str(exc)) from exc
    write_known_hosts(directory, name, load(directory))


def load(directory: Path) -> SessionKeys:
    """The keys of a session, as this machine has them. Raises SettingsError when they are not all there."""
    found = [_load(directory, file) for file in _FILES]
    if None in found:
        raise SettingsError("this machine does not have the session's keys", hint="`paude attach NAME` fetches them")
    return SessionKeys(*(pair for pair in found if pair is not None))


def _secret(host: KeyPair, client: KeyPair, options: str) -> dict[str, bytes]:
    return {
        "ssh_host_ed25519_key": host.private_openssh.encode(),
        "authorized_keys": f"{options} {client.public_openssh}\n".encode(),
    }


def _load(directory: Path, file: str) -> KeyPair | None:
    private, public = directory / file, directory / f"{file}.pub"
    if not (private.is_file() and public.is_file()):
        return None
    return KeyPair(private.read_text(), public.read_text().strip())


def _new(directory: Path, file: str, name: str) -> KeyPair:
    pair = keys.generate(f"paude {name}")
    private = directory / file
    private.touch(mode=0o600)
    private.write_text(pair.private_openssh)
    (directory / f"{file}.pub").write_text(pair.public_openssh + "\n")
    return pair
