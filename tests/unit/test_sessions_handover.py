"""What goes from laptop to laptop: the name by which a gate knows one, the keys, the record."""

from __future__ import annotations

import dataclasses
import re
import stat
from pathlib import Path

import pytest

from paude.errors import NameTaken, SettingsError
from paude.gate.client import GateStatus, SyncOwner, _owner
from paude.plans.owner import elsewhere, refuse_elsewhere
from paude.sessions import records
from paude.sessions.machine import this_machine
from paude.sessions.records import Record
from paude.settings import Paths
from paude.ssh import session_keys


def laptop(root: Path) -> Paths:
    made = Paths(root / "state", root / "run", root / "config", root / "cache")
    made.state.mkdir(parents=True)
    return made


def status(owner: SyncOwner | None) -> GateStatus:
    return GateStatus("s", "0" * 16, True, True, True, True, "", None, 0, False, sync_owner=owner)  # type: ignore[arg-type]


def test_a_laptop_keeps_its_name_and_two_have_two(tmp_path: Path) -> None:
    one, two = laptop(tmp_path / "one"), laptop(tmp_path / "two")
    assert this_machine(one) == this_machine(one)
    assert this_machine(one).id != this_machine(two).id
    assert re.fullmatch(r"[0-9a-f]{16}@[A-Za-z0-9.-]{1,63}", str(this_machine(one)))
    assert stat.S_IMODE((one.state / "machine").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"", b"0123", b"\xff\xfe", b"0123456789abcdef\nmore"])
def test_a_name_that_is_damaged_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    paths = laptop(tmp_path)
    (paths.state / "machine").write_bytes(damage)
    assert this_machine(paths) == this_machine(paths)


def test_the_sync_of_another_laptop_is_refused_and_ones_own_is_not(tmp_path: Path) -> None:
    paths = laptop(tmp_path)
    mine = SyncOwner(this_machine(paths).id, "renamed", "2026-01-01T00:00:00Z")
    other = SyncOwner("f" * 16, "there", "2026-01-01T00:00:00Z")
    assert elsewhere(status(None), paths) == ""
    assert elsewhere(status(mine), paths) == ""
    with pytest.raises(NameTaken, match="taken over by there at 2026-01-01") as caught:
        refuse_elsewhere(status(other), "one", paths)
    assert "paude attach one --take-over" in caught.value.hint


def test_what_a_gate_says_of_the_owner_is_only_data() -> None:
    told = {"laptop": "f" * 16, "host": "there\x1b]0;x\x07", "since": None}
    assert _owner(told) == SyncOwner("f" * 16, "there", "")
    for nothing in (None, "x", [], {}, {"host": "there"}):
        assert _owner(nothing) is None


def test_a_record_travels_without_where_this_laptop_found_it() -> None:
    record = Record(
        "one", "0" * 16, "kubernetes", "/home/me/one", "claude", records.now(),
        server="https://one.test", namespace="mine", user="me", kubeconfig=("/me/.kube/config",), hosts=("a.test",),
    )  # fmt: skip
    sent = records.portable(record)
    assert not any(word in sent for word in (b"one.test", b"mine", b".kube"))
    back = records.of_another_machine("one", sent)
    assert back == dataclasses.replace(
        record, server="", namespace="", user="", kubeconfig=(), guest=True, committed=True
    )


@pytest.mark.parametrize("sent", [b"", b"{}", b"[]", b'{"schema": 99}', b'{"name": "two"}'])
def test_a_record_that_cannot_be_used_says_what_to_do(sent: bytes) -> None:
    with pytest.raises(SettingsError, match="session one cannot be used") as caught:
        records.of_another_machine("one", sent)
    assert caught.value.hint


def test_the_keys_arrive_whole_and_private(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    made = session_keys.make(here, "one")
    session_keys.write_known_hosts(here, "one", made)
    session_keys.restore(there, "one", made.laptop_secret())
    assert session_keys.load(there) == made
    assert (there / "known_hosts").read_text() == (here / "known_hosts").read_text()
    assert {stat.S_IMODE((there / file).stat().st_mode) for file in made.laptop_secret()} == {0o600}
    with pytest.raises(SettingsError, match="no host_gate"):
        session_keys.restore(tmp_path / "nowhere", "one", {})
