"""Completion as a shell asks for it, and the manual page: both come from the parser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paude.cli.app import VERBS
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths

CHECKOUT = Path(__file__).parents[2]
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: crc, context: {cluster: c, user: u}}
- {name: work, context: {cluster: c, user: u}}
"""
HEAVY = {"kr8s", "asyncssh", "httpx", "websockets", "cryptography", "anyio"}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A machine with two sessions and two contexts; nothing answers there. `paude` is on its PATH."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    paths = Paths(*(tmp_path / part / "paude" for part in ("state", "run", "config", "cache")))
    for name in ("web", "worker"):
        made = "2026-01-01T00:00:00+00:00"
        records.save(paths, Record(name, "0" * 16, "kubernetes", "/w", "shell", made, committed=True))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/paude"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m paude "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }


def run(env: dict[str, str], *argv: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, env={**env, **more}, cwd=env["HOME"], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done


ASKED = [
    (["paude", "sta"], {"start", "status"}),
    (["paude", "attach", ""], {"web", "worker"}),
    (["paude", "stop", "wo"], {"worker"}),
    (["paude", "sync", "status", "we"], {"web"}),
    (["paude", "sync", "diff", "--session", "w"], {"web", "worker"}),
    (["paude", "start", "--context", ""], {"crc", "work"}),
    (["paude", "sessions", "-o", ""], {"text", "wide", "name", "json", "yaml"}),
    (["paude", "completion", ""], {"bash", "zsh", "fish"}),
]


@pytest.mark.parametrize(("words", "offered"), ASKED, ids=lambda value: " ".join(value) if value else None)
def test_bash_completes_by_the_script_that_it_is_given(
    env: dict[str, str], words: list[str], offered: set[str]
) -> None:
    script = (
        'eval "$(paude completion bash)"; set -f; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        'complete -p paude | grep -q -- "-F _paude_completion" || exit 9\n'
        '_paude_completion paude; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = run(env, "bash", "-c", script, "bash", *words)
    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


@pytest.mark.parametrize(("words", "offered"), ASKED[:3], ids=lambda value: " ".join(value) if value else None)
def test_zsh_and_fish_get_the_same_answers_in_their_own_words(
    env: dict[str, str], words: list[str], offered: set[str]
) -> None:
    line = " ".join(words)
    said = run(env, "paude", _PAUDE_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line).stdout
    assert set(re.findall(r'^(?:_arguments .*\(\()?"([a-z]+)"', said, re.MULTILINE)) == offered
    fish = {"_PAUDE_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    assert {one.split("\t")[0] for one in run(env, "paude", **fish).stdout.splitlines()} == offered


@pytest.mark.parametrize(("shell", "ask"), [("zsh", "complete_zsh"), ("fish", "complete_fish")])
def test_each_script_asks_the_way_that_is_answered(env: dict[str, str], shell: str, ask: str) -> None:
    assert f"_PAUDE_COMPLETE={ask}" in run(env, "paude", "completion", shell).stdout


def test_what_cannot_be_read_completes_to_nothing_and_says_nothing(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{")
    (tmp_path / "state/paude/sessions/web/record.json").write_text("{")
    for words in ("paude start --context ", "paude attach nothing"):
        done = run(env, "paude", _PAUDE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
        assert (done.stdout.strip(), done.stderr) == ("", "")


def test_completion_loads_nothing_that_could_dial(env: dict[str, str]) -> None:
    program = f"""
import sys
from paude.__main__ import main
sys.argv = ["paude"]
try:
    main()
finally:
    print("HEAVY", sorted({HEAVY!r} & set(sys.modules)))
"""
    asked = {"_PAUDE_COMPLETE": "complete_bash", "COMP_WORDS": "paude attach w", "COMP_CWORD": "2"}
    said = run(env, sys.executable, "-c", program, **asked).stdout.split("\n")
    assert said[-2] == "HEAVY []"
    assert "worker" in said


def test_another_shell_is_refused_with_those_that_are_known(env: dict[str, str]) -> None:
    assert "shells: bash, zsh, fish" in run(env, "paude", "completion", "tcsh", code=2).stderr


def test_as_a_plug_in_of_kubectl_it_goes_by_that_name(env: dict[str, str], tmp_path: Path) -> None:
    plugin = tmp_path / "bin/kubectl-paude"
    plugin.write_text(f"#!{sys.executable}\nfrom paude.__main__ import main\nmain()\n")
    plugin.chmod(0o755)
    assert "Usage: kubectl paude" in run(env, str(plugin), "--help").stdout
    assert 'kubectl-paude = "paude.__main__:main"' in (CHECKOUT / "pyproject.toml").read_text()


def test_the_manual_has_every_verb_and_every_option_and_is_sound_troff(env: dict[str, str], tmp_path: Path) -> None:
    page = run(env, sys.executable, str(CHECKOUT / "scripts/lib/manual.py")).stdout
    shown = {verb for verb, (_, words) in VERBS.items() if words}
    assert shown - {one.replace("\\", "") for one in re.findall(r"^paude ([a-z\\-]+)", page, re.MULTILINE)} == set()
    for option in ("--keep-workspace", "--allow-network", "--watch", "--session"):
        assert option.replace("-", "\\-") in page
    assert "PAUDE_REGISTRY" in page
    assert "work would be lost" in page
    requests = {line.split(" ")[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".TP", ".B", ".I"}
