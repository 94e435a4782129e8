"""Records of sessions on this machine."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paude.errors import NameTaken, NotFound, PaudeError, SettingsError, UsageError
from paude.sessions import records
from paude.sessions.records import Record, Unreadable
from paude.settings import Paths

WORDS = st.text(max_size=30)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state", tmp_path / "run", tmp_path / "config", tmp_path / "cache")


def record(name: str = "one", **changes: object) -> Record:
    base = Record(name, "0123456789abcdef", "kubernetes", "/src/one", "claude", records.now(), committed=True)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def written(paths: Paths, name: str, content: bytes) -> Path:
    path = records.file_of(paths, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Record,
        name=st.just("one"), uid=WORDS, backend=WORDS, workspace=WORDS, agent=WORDS, created_at=WORDS,
        kubeconfig=st.lists(WORDS, max_size=3).map(tuple), hosts=st.lists(WORDS, max_size=3).map(tuple),
        committed=st.booleans(),
    )
)  # fmt: skip
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, kept: Record) -> None:
    root = tmp_path_factory.mktemp("records")
    paths = Paths(root, root, root, root)

    records.save(paths, kept)

    assert records.load(paths, "one") == kept


def test_a_record_and_its_directory_are_for_the_user_alone(paths: Paths) -> None:
    old = os.umask(0)
    try:
        records.save(paths, record())
    finally:
        os.umask(old)

    path = records.file_of(paths, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_save_that_fails_leaves_the_old_record_and_no_litter(paths: Paths) -> None:
    records.save(paths, record())
    target = records.file_of(paths, "one")
    before = target.read_bytes()

    with pytest.raises(TypeError):
        records._replace(target, None)  # type: ignore[arg-type]

    assert target.read_bytes() == before
    assert [f.name for f in target.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b'{"schema": 1}', b"[" * 100_000, b" " * 300_000,
        b'{"schema":1,"name":"other","uid":"","backend":"","workspace":"","agent":"","created_at":""}',
        b'{"schema":1,"name":"one","uid":3,"backend":"","workspace":"","agent":"","created_at":""}',
        b'{"schema":1,"name":"one","uid":"","backend":"","workspace":"","agent":"","created_at":"","hosts":"x"}',
    ],
)  # fmt: skip
def test_a_damaged_record_says_so_and_stays(paths: Paths, content: bytes) -> None:
    path = written(paths, "one", content)

    found = records.load(paths, "one")

    assert isinstance(found, Unreadable)
    assert not found.newer
    assert found.why
    assert isinstance(found.error(), SettingsError)
    assert path.read_bytes() == content


def test_a_record_of_a_newer_paude_says_so(paths: Paths) -> None:
    content = {**dataclasses.asdict(record()), "schema": records.SCHEMA + 1, "later": {"x": 1}}
    written(paths, "one", json.dumps(content).encode())

    found = records.load(paths, "one")

    assert isinstance(found, Unreadable)
    assert found.newer
    assert "update paude" in found.error().hint


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_no_content_breaks_the_list(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.mktemp("records")
    paths = Paths(root, root, root, root)
    written(paths, "one", content)

    assert len(records.load_all(paths)) == 1


def test_an_unknown_key_of_the_same_schema_is_ignored(paths: Paths) -> None:
    kept = record()
    written(paths, "one", json.dumps({**dataclasses.asdict(kept), "extra": 1}).encode())

    assert records.load(paths, "one") == kept


def test_the_most_recent_session_is_the_one_started_last_that_is_ready(paths: Paths) -> None:
    records.save(paths, record("old", created_at="2026-01-01T00:00:00+00:00"))
    records.save(paths, record("new", created_at="2026-03-01T00:00:00+00:00"))
    records.save(paths, record("half", created_at="2026-04-01T00:00:00+00:00", committed=False))
    records.save(paths, record("odd", created_at="yesterday"))
    written(paths, "broken", b"{")

    found = records.most_recent(paths)

    assert found is not None
    assert found.name == "new"
    assert [r.name for r in records.load_all(paths)] == ["broken", "half", "new", "odd", "old"]


def test_without_records_there_is_no_session(paths: Paths) -> None:
    assert records.load(paths, "one") is None
    assert records.load_all(paths) == []
    assert records.most_recent(paths) is None


@pytest.mark.parametrize("name", ["../../etc", "", "a/b", ".", "\0"])
def test_a_name_never_leads_out_of_the_sessions(paths: Paths, name: str) -> None:
    for act in (records.load, records.forget):
        with pytest.raises(UsageError):
            act(paths, name)


def test_forgetting_removes_the_session_and_nothing_else(paths: Paths) -> None:
    records.save(paths, record("one"))
    records.save(paths, record("two"))

    records.forget(paths, "one")
    records.forget(paths, "one")

    assert [r.name for r in records.load_all(paths)] == ["two"]


def _hold(paths: Paths, has: object, go: object) -> None:
    with records.locked(paths, "one"):
        has.set()  # type: ignore[attr-defined]
        go.wait(30)  # type: ignore[attr-defined]
        os._exit(9)  # as after SIGKILL: nothing is tidied


def test_a_second_command_on_a_session_is_refused_and_a_killed_one_frees_it(paths: Paths) -> None:
    spawn = multiprocessing.get_context("spawn")
    has, go = spawn.Event(), spawn.Event()
    child = spawn.Process(target=_hold, args=(paths, has, go))
    child.start()
    try:
        assert has.wait(30)
        with pytest.raises(NameTaken) as caught, records.locked(paths, "one"):
            pytest.fail("two have the lock")
        assert str(child.pid) in str(caught.value)
        with records.locked(paths, "two"):
            pass
    finally:
        go.set()
        child.join(30)

    with records.locked(paths, "one"):
        pass


def _look(paths: Paths, begun: object, enough: object) -> None:
    while not enough.is_set():  # type: ignore[attr-defined]
        records.at_work(paths, "one")
        begun.set()  # type: ignore[attr-defined]


def test_whoever_only_looks_keeps_nobody_from_the_lock(paths: Paths) -> None:
    spawn = multiprocessing.get_context("spawn")
    begun, enough = spawn.Event(), spawn.Event()
    with records.locked(paths, "one"):
        assert records.at_work(paths, "one")
    assert not records.at_work(paths, "one")
    child = spawn.Process(target=_look, args=(paths, begun, enough))
    child.start()
    try:
        assert begun.wait(30)
        for _ in range(1000):
            with records.locked(paths, "one"):
                pass
    finally:
        enough.set()
        child.join(30)


def test_the_lock_is_free_after_an_error(paths: Paths) -> None:
    with pytest.raises(PaudeError, match="boom"), records.locked(paths, "one"):
        raise PaudeError("boom")

    with records.locked(paths, "one"):
        pass


def test_under_the_lock_a_record_is_as_it_is_now_and_not_as_it_was_read(paths: Paths) -> None:
    before = record(committed=False, hosts=("a.test",))
    records.save(paths, dataclasses.replace(before, committed=True, hosts=("b.test",)))

    with records.held(paths, before) as current:
        assert (current.committed, current.hosts) == (True, ("b.test",))
        with pytest.raises(NameTaken), records.held(paths, before):
            pass


@pytest.mark.parametrize("now", [None, "fedcba9876543210"], ids=["nobody", "another session"])
def test_a_session_that_was_ended_meanwhile_is_not_acted_upon(paths: Paths, now: str | None) -> None:
    if now is not None:
        records.save(paths, record(uid=now))

    with pytest.raises(NotFound), records.held(paths, record()):
        pass


def test_a_record_that_was_damaged_meanwhile_is_told(paths: Paths) -> None:
    written(paths, "one", b"{")

    with pytest.raises(SettingsError), records.held(paths, record()):
        pass


def test_what_a_killed_start_left_without_a_record_is_swept_and_nothing_else(paths: Paths) -> None:
    records.save(paths, record("whole"))
    for name in ("killed", "begins", "Not A Name"):
        (paths.session(name)).mkdir()
        (paths.session(name) / "progress").write_text("connect: started\n")
    (paths.sessions / "file").write_text("")
    with records.locked(paths, "begins"):
        records.sweep(paths)
    assert {entry.name for entry in paths.sessions.iterdir()} == {"whole", "begins", "Not A Name", "file"}
    assert isinstance(records.load(paths, "whole"), Record)


def test_sweeping_before_the_first_session_makes_nothing(paths: Paths) -> None:
    records.sweep(paths)
    assert records.load_all(paths) == []
    assert not paths.sessions.exists()
