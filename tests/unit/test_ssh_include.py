"""The one line in the user's ssh configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import SettingsError
from paude.ssh.include import Change, installing, line_for, uninstalling

LINE = line_for(Path("/state/paude/ssh_config"))
THEIRS = "# mine\nHost work\n  User me\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".ssh/config"


def done(change: Change) -> str:
    change.write()
    return change.file.read_text()


def given_file(config: Path, text: str, mode: int = 0o640) -> None:
    config.parent.mkdir()
    config.write_text(text)
    config.chmod(mode)


def test_a_missing_file_is_made_for_the_user_alone(config: Path):
    assert done(installing(config, LINE)) == f"{LINE}\n"
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.parent.stat().st_mode & 0o777 == 0o700


def test_the_line_comes_first_and_the_rest_stays_as_it_is(config: Path):
    given_file(config, THEIRS)
    assert done(installing(config, LINE)) == f"{LINE}\n{THEIRS}"
    assert config.stat().st_mode & 0o777 == 0o640


def test_the_diff_shows_that_line_and_no_other_change(config: Path):
    given_file(config, THEIRS)
    diff = installing(config, LINE).diff().splitlines()
    assert [one for one in diff[2:] if one[0] in "+-"] == [f"+{LINE}"]


def test_a_line_that_is_there_is_not_added_again(config: Path):
    given_file(config, f"Include other\n {LINE}\n{THEIRS}")
    assert not installing(config, LINE).needed


def test_a_line_inside_a_block_is_moved_to_where_it_counts(config: Path):
    given_file(config, f"{THEIRS}{LINE}\n")
    assert done(installing(config, LINE)) == f"{LINE}\n{THEIRS}"


def test_a_link_stays_a_link(config: Path, tmp_path: Path):
    real = tmp_path / "dotfiles"
    real.write_text(THEIRS)
    config.parent.mkdir()
    config.symlink_to(real)
    installing(config, LINE).write()
    assert config.is_symlink()
    assert real.read_text() == f"{LINE}\n{THEIRS}"


def test_a_file_that_cannot_be_read_is_left_alone(config: Path):
    given_file(config, "")
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError):
        installing(config, LINE)
    assert config.read_bytes() == b"\xff\xfe"


@given(st.text(st.characters(codec="utf-8")))
def test_installing_and_uninstalling_again_changes_nothing(tmp_path_factory: pytest.TempPathFactory, text: str):
    file = tmp_path_factory.mktemp("ssh") / "config"
    file.write_bytes(text.encode())
    installing(file, LINE).write()
    assert not installing(file, LINE).needed
    uninstalling(file, LINE).write()
    assert file.read_bytes() == text.encode()


def paude(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "s"), "XDG_RUNTIME_DIR": str(home / "r")}
    argv = [sys.executable, "-m", "paude", "ssh-config", *words]
    return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_the_verb_asks_before_it_touches_the_file(tmp_path: Path, config: Path):
    assert paude(tmp_path).stdout == f'Include "{tmp_path}/s/paude/ssh_config"\n'
    refused = paude(tmp_path, "--install")
    assert refused.returncode == 2
    assert "+Include" in refused.stderr
    assert not config.exists()
    assert paude(tmp_path, "--install", "--yes").returncode == 0
    assert config.read_text() == f'Include "{tmp_path}/s/paude/ssh_config"\n'
    assert "as it should be" in paude(tmp_path, "--install", "--yes").stderr
    assert paude(tmp_path, "--uninstall", "--yes").returncode == 0
    assert config.read_text() == ""
