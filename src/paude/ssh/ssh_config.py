"""The ssh configuration that paude owns: one pair of Host blocks per session. Pure.

`NAME.paude` is the agent's sshd, `gate.NAME.paude` the gate's. The user's own configuration, keys and agent have no
part in it. A connection goes to the supervisor's socket, which a helper hands over to ssh (ProxyUseFdpass).
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paude.errors import SettingsError
from paude.sessions.machine import this_machine
from paude.settings import Paths

GATE_PORT = 2222
AGENT_PORT = 2223
USER = "paude"
LAPTOP_VARIABLE = "PAUDE_LAPTOP"  # the gate's sshd takes this one and no other
HELPER = Path(__file__).with_name("fdpass.py")

# aes128-gcm first: with AES instructions it costs a third less than chacha20, which OpenSSH would prefer.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
# The default hybrid exchange costs 0.1 to 0.15 s more per connection; the tunnel is already inside TLS.
KEX = "curve25519-sha256"

# With glibc's own thresholds both programs give their buffers back to the kernel for each packet of a bulk transfer
# and get them anew, page by page: a stream takes 1.6 times as long.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "16777216", "MALLOC_TRIM_THRESHOLD_": "16777216"}
SERVER = (
    "/usr/bin/env",
    *(f"{name}={value}" for name, value in MEMORY.items()),
    "/usr/sbin/sshd",
    "-i",
    "-e",
    "-f",
    "/run/paude/sshd.conf",
)

_SHARED = f"""\
  User {USER}
  IdentitiesOnly yes
  IdentityAgent none
  CertificateFile none
  PreferredAuthentications publickey
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  CheckHostIP no
  HostKeyAlgorithms ssh-ed25519
  KexAlgorithms {KEX}
  Ciphers {",".join(CIPHERS)}
  Compression no
  BatchMode yes
  ControlMaster no
  ControlPath none
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  ServerAliveInterval 15
  ServerAliveCountMax 3
  LogLevel ERROR
  ProxyUseFdpass yes
"""


@dataclass(frozen=True)
class SshSession:
    """What a session needs in the configuration: its name and the directory with its keys and known_hosts."""

    name: str
    directory: Path


def agent_alias(name: str) -> str:
    """The name of the agent's sshd."""
    return f"{name}.paude"


def gate_alias(name: str) -> str:
    """The name of the gate's sshd."""
    return f"gate.{name}.paude"


def known_hosts(name: str, *, gate: str, agent: str) -> str:
    """A known_hosts file with both host keys (public, OpenSSH's form)."""
    return "".join(f"{alias} {_bare(key)}\n" for alias, key in ((gate_alias(name), gate), (agent_alias(name), agent)))


def render(paths: Paths, sessions: Iterable[SshSession], *, machine: str = "", python: str = sys.executable) -> str:
    """The whole file; `machine` is what a gate is told of which laptop it speaks with."""
    head = "# Written by paude, and written anew whenever a session comes or goes.\n"
    return head + "".join(_blocks(paths, one, machine, python) for one in sorted(sessions, key=lambda s: s.name))


def write(paths: Paths, names: Iterable[str]) -> Path:
    """Write the file for these sessions, whole or not at all; ssh may be reading it. Raises SettingsError."""
    file = paths.state / "ssh_config"
    try:
        with tempfile.NamedTemporaryFile("w", dir=paths.state, delete=False) as fresh:
            sessions = (SshSession(name, paths.session(name)) for name in names)
            fresh.write(render(paths, sessions, machine=str(this_machine(paths))))
        os.replace(fresh.name, file)
    except OSError as exc:
        raise SettingsError(f"{file} cannot be written", why=str(exc)) from exc
    return file


def _blocks(paths: Paths, session: SshSession, machine: str, python: str) -> str:
    agent = _block(paths, session, python, agent_alias(session.name), "id_agent", AGENT_PORT)
    gate = _block(paths, session, python, gate_alias(session.name), "id_gate", GATE_PORT)
    return agent + gate + (f"  SetEnv {LAPTOP_VARIABLE}={machine}\n" if machine else "")


def _block(paths: Paths, session: SshSession, python: str, alias: str, key: str, port: int) -> str:
    words = (python, "-IS", HELPER, paths.supervisor_socket, session.name, port, paths.state)
    return (
        f"\nHost {alias}\n"
        f"  HostKeyAlias {alias}\n"
        f"  IdentityFile {_file(session.directory / key)}\n"
        f"  UserKnownHostsFile {_file(session.directory / 'known_hosts')}\n"
        f"  ProxyCommand {shlex.join(str(w) for w in words).replace('%', '%%')}\n"
        f"{_SHARED}"
    )


def _file(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _bare(key: str) -> str:
    return " ".join(key.split()[:2])
