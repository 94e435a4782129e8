"""The ssh configuration that paude owns, as OpenSSH itself reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.settings import Paths
from paude.ssh.keys import generate
from paude.ssh.ssh_config import SshSession, known_hosts, render


def paths(root: Path) -> Paths:
    return Paths(root / "state/paude", root / "run", root / "config", root / "cache")


def asked(tmp_path: Path, host: str, *sessions: SshSession, root: Path | None = None) -> dict[str, str]:
    """What `ssh -G` makes of it for `host`."""
    file = tmp_path / "ssh_config"
    file.write_text(render(paths(root or tmp_path), sessions))
    out = subprocess.run(["ssh", "-G", "-F", file, host], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in out.splitlines() if " " in line)


@pytest.mark.parametrize(
    ("host", "key", "port"), [("one.paude", "id_agent", "2223"), ("gate.one.paude", "id_gate", "2222")]
)
def test_each_end_has_its_own_key_host_key_and_port(tmp_path: Path, host: str, key: str, port: str):
    seen = asked(tmp_path, host, SshSession("one", tmp_path / "s/one"), SshSession("two", tmp_path / "s/two"))
    assert seen["identityfile"].strip('"') == str(tmp_path / "s/one" / key)
    assert seen["hostkeyalias"] == host
    assert seen["proxycommand"].split()[-3:-1] == ["one", port]


def test_only_a_gate_is_told_which_laptop_it_speaks_with(tmp_path: Path):
    file = tmp_path / "ssh_config"
    sessions = [SshSession(name, tmp_path / "s" / name) for name in ("one", "two")]
    file.write_text(render(paths(tmp_path), sessions, machine="0123456789abcdef@here"))
    for host, told in {"gate.one.paude": True, "gate.two.paude": True, "one.paude": False, "two.paude": False}.items():
        out = subprocess.run(["ssh", "-G", "-F", file, host], check=True, capture_output=True, text=True).stdout
        assert ("setenv PAUDE_LAPTOP=0123456789abcdef@here" in out.splitlines()) == told


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stricthostkeychecking", "true"),
        ("forwardagent", "no"),
        ("forwardx11", "no"),
        ("identityagent", "none"),
        ("batchmode", "yes"),
        ("proxyusefdpass", "yes"),
        ("kexalgorithms", "curve25519-sha256"),
        ("user", "paude"),
        ("globalknownhostsfile", "/dev/null"),
        ("permitlocalcommand", "no"),
    ],
)
def test_nothing_of_the_user_is_used_and_nothing_is_forwarded(tmp_path: Path, option: str, value: str):
    assert asked(tmp_path, "one.paude", SshSession("one", tmp_path))[option] == value


def test_directories_with_odd_names_arrive_whole(tmp_path: Path):
    odd = tmp_path / 'a b%c "d"'
    seen = asked(tmp_path, "one.paude", SshSession("one", odd), root=odd)
    assert str(odd / "id_agent") in seen["identityfile"].replace("%%", "%")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {seen['proxycommand'].replace('%%', '%')}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert words[0] == sys.executable
    assert words[-1] == str(odd / "state/paude")


def test_a_session_that_is_gone_is_not_known(tmp_path: Path):
    assert "proxycommand" not in asked(tmp_path, "other.paude", SshSession("one", tmp_path))


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,44}[a-z0-9])?", fullmatch=True), unique=True, max_size=8))
def test_the_order_of_the_sessions_does_not_matter(names: list[str]):
    sessions = [SshSession(name, Path("/s") / name) for name in names]
    assert render(paths(Path("/p")), sessions) == render(paths(Path("/p")), reversed(sessions))


def test_known_hosts_pin_one_key_per_end():
    gate, agent = generate("x"), generate("y")
    pinned = asyncssh.import_known_hosts(known_hosts("one", gate=gate.public_openssh, agent=agent.public_openssh))
    for alias, key in (("gate.one.paude", gate), ("one.paude", agent)):
        assert [k.export_public_key() for k in pinned.match(alias, "", None)[0]] == [
            asyncssh.import_public_key(" ".join(key.public_openssh.split()[:2])).export_public_key()
        ]


def test_keys_are_new_each_time_and_the_private_half_is_not_shown():
    one, two = generate("c"), generate("c")
    assert one.public_openssh != two.public_openssh
    assert one.public_openssh.startswith("ssh-ed25519 ")
    assert "PRIVATE" not in repr(one)
