"""Both sshds: what each is told is what the real program takes it for, and no option is left to a default."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOTH = {
    "listenaddress": "127.0.0.1",
    "allowusers": "paude",
    "authenticationmethods": "publickey",
    "authorizedkeysfile": "/etc/paude/ssh/authorized_keys",
    "hostkeyalgorithms": "ssh-ed25519",
    "pubkeyacceptedalgorithms": "ssh-ed25519",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "hostbasedauthentication": "no",
    "permitrootlogin": "no",
    "usepam": "no",
    "usedns": "no",
    "maxauthtries": "2",
    "logingracetime": "10",
    "clientaliveinterval": "15",
    "clientalivecountmax": "3",
    "allowagentforwarding": "no",
    "allowstreamlocalforwarding": "no",
    "x11forwarding": "no",
    "permittunnel": "no",
    "gatewayports": "no",
    "permituserenvironment": "no",
    "permituserrc": "no",
}
WANTED = {
    "gate": {
        **BOTH,
        "forcecommand": "/opt/paude/bin/paude-pod control",
        "permittty": "no",
        "disableforwarding": "yes",
        "allowtcpforwarding": "no",
    },
    "agent": {
        **BOTH,
        "allowtcpforwarding": "local",
        "permitopen": "127.0.0.1:* localhost:* [::1]:*",
        "permitlisten": "none",
        "subsystem": "sftp internal-sftp",
    },
}
OPTIONS = [(server, option) for server, options in WANTED.items() for option in options]


def text(server: str) -> str:
    return (ROOT / f"sshd/{server}.conf").read_text()


@pytest.fixture(scope="module")
def host_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def differences(server: str, configuration: str, host_key: Path) -> set[str]:
    """The options that are not written as wanted, or that sshd takes for something else."""
    written = {key.lower(): value for key, _, value in (line.partition(" ") for line in configuration.splitlines())}
    file = host_key.with_name("sshd.conf")
    file.write_text(configuration)
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    done = subprocess.run([program, "-T", "-f", file, "-h", host_key], capture_output=True, text=True, check=True)
    taken: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        taken.setdefault(key, []).append(value)
    return {
        option
        for option, value in WANTED[server].items()
        if written.get(option) != value or not any(one.startswith(value) for one in taken.get(option, []))
    }


@pytest.mark.parametrize("server", WANTED)
def test_every_option_is_set_and_taken(server: str, host_key: Path) -> None:
    assert differences(server, text(server), host_key) == set()


@pytest.mark.parametrize(("server", "option"), OPTIONS)
def test_an_option_that_is_gone_is_missed(server: str, option: str, host_key: Path) -> None:
    lines = [line for line in text(server).splitlines() if line.partition(" ")[0].lower() != option]
    assert option in differences(server, "\n".join(lines) + "\n", host_key)
