"""The command line as its users see it: words in, words and exit codes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from commands import verbs
from paude.cli import app
from paude.cli.choose import record_of
from paude.cli.sessions import Row, age, next_steps, show
from paude.errors import Leftover, NotFound, PaudeError, SettingsError, UsageError
from paude.plans.request import Gift, Wishes, prepare
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read

AWKWARD = ["-p", 'fix "the" tests', "it's", "$HOME `id` \\", "", "--name", "-n", "--", "é\nline"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "project").mkdir(parents=True)
    return tmp_path / "home"


def environment(home: Path) -> dict[str, str]:
    """Nothing of this machine: no kubeconfig, no sessions."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
        "PAUDE_BACKEND": "kubernetes",
        "PAUDE_BASE_IMAGE": "localhost/none",  # nothing here may get as far as asking a registry
    }


def paude(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paude", *words],
        env=environment(home),
        cwd=home / "project",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("words", [("config", "schema"), ("--help",), ("--version",)], ids=" ".join)
def test_a_reader_who_has_gone_is_no_error(home: Path, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "paude", *words], env=environment(home), stdout=nobody, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (0, b"")


def python(home: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(home),
        cwd=home / "project",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["start", "--help"]], ids=" ".join)
def test_asking_for_help_costs_no_library(home: Path, words: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["paude", *{words!r}]
from paude.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {{"kr8s", "asyncssh", "rich", "anyio", "httpx", "yaml", "websockets", "cryptography"}}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    assert python(home, program).splitlines()[-1] == "HEAVY []"


def test_the_way_to_a_terminal_is_dialled_before_ssh_is_loaded(home: Path) -> None:
    program = """
import sys, paude.plans.attach, paude.plans.on_podman, paude.backends.podman.ways
print("LOADED", sorted({"asyncssh", "paude.backends.podman.containers"} & set(sys.modules)))
"""
    assert python(home, program).splitlines()[-1] == "LOADED []"


def test_what_a_terminal_can_do_without_is_not_loaded_before_it(home: Path) -> None:
    program = """
import sys, paude.cli.terminal, paude.cli.choose, paude.plans.attach, paude.plans.on_podman
import paude.backends.podman.ways, paude.plans.terminal
late = {"cryptography.x509", "difflib", "paude.backends.base", "paude.gate.client", "paude.sessions.states"}
late |= {"paude.settings.table", "paude.ssh.filter", "paude.sync.session", "paude.supervisor.server", "typer"}
print("LOADED", "asyncssh" in sys.modules, sorted(late & set(sys.modules)))
"""
    assert python(home, program).splitlines()[-1] == "LOADED True []"


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        (["attach"], False),
        (["attach", "here"], False),
        (["attach", "killed"], True),
        (["attach", "nobody"], True),
        (["attach", "here", "--clipboard"], True),
        (["attach", "--help"], True),
        (["sessions"], True),
        ([], True),
    ],
)
def test_only_who_comes_back_to_a_terminal_and_asks_no_more_passes_the_parser_by(
    home: Path, words: list[str], parsed: bool
) -> None:
    for one in (record("here"), record("killed", committed=False)):
        records.save(Paths(home / ".state/paude", *[home] * 3), one)
    program = f"""
import sys
sys.argv = ["paude", *{words!r}]
from paude.cli import terminal
terminal.open_terminal = lambda name: print("OPENED", name)
print("PARSED", not terminal.opened_at_once(sys.argv[1:]), "typer" in sys.modules)
"""
    said = python(home, program).splitlines()
    assert said == ([] if parsed else ["OPENED here"]) + [f"PARSED {parsed} False"]


def test_what_is_wrong_with_a_terminal_is_told_in_the_same_words_by_either_way(home: Path) -> None:
    records.save(Paths(home / ".state/paude", *[home] * 3), record("here"))
    short, long = paude(home, "attach", "here"), paude(home, "attach", "here", "--no-clipboard")
    assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
    assert short.returncode == 2
    assert short.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [("attach",), ("attach", "here"), ("attach", "--no-clipboard")], ids=" ".join)
@pytest.mark.parametrize("backend", ["kubernetes", "podman"])
def test_an_error_in_the_settings_is_told_before_a_terminal_is_opened(
    home: Path, backend: str, words: tuple[str, ...]
) -> None:
    records.save(Paths(home / ".state/paude", *[home] * 3), replace(record("here"), backend=backend))
    settings = home / ".config/paude/config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"tunnel": 7}')
    told, other = paude(home, *words), paude(home, "config", "show")
    assert (told.returncode, told.stderr) == (other.returncode, other.stderr)
    assert f"{settings}: tunnel is '7'" in told.stderr


def test_loading_ssh_starts_no_program(home: Path) -> None:
    program = """
import sys
started = []
programs = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.system"}
sys.addaudithook(lambda event, arguments: started.append(arguments) if event in programs else None)
import paude.ssh.shell
assert "asyncssh" in sys.modules
print("STARTED", started)
"""
    assert python(home, program).splitlines()[-1] == "STARTED []"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nonsense"], 2, "nonsense"),
        (["start", "--nonsense"], 2, "--nonsense"),
        (["start", "--agent", "nobody"], 2, "agents: claude, codex, shell"),
        (["start", "/"], 2, "hint: "),
        (["start", "missing"], 2, "missing"),
        (["start", "--agent", "shell", "--detach"], 2, "there is no kubeconfig"),
        (["start", "--agent", "shell", "--progress", "loud"], 2, "loud"),
        (["start", "--agent", "shell", "--name", "Not A Name"], 2, "cannot be a session's name"),
        (["attach"], 4, "there is no session"),
        (["attach", "nobody"], 4, "known on this machine: none"),
        (["stop"], 4, "there is no session"),
        (["stop", "nobody"], 4, "there is no session nobody"),
        (["stop", "--keep-workspace", "--discard"], 2, "exclude each other"),
        (["status", "nobody"], 4, "there is no session nobody"),
        (["status", "-o", "xml"], 2, "formats: text, json"),
        (["sessions", "-o", "xml"], 2, "formats: "),
        (["logs", "-c", "squid"], 2, "containers: gate, fence, agent"),
        (["exec", "nobody"], 2, "there is no command"),
        (["exec", "nobody", "--", "true"], 4, "there is no session nobody"),
        (["cp", "one"], 2, "a source and a target"),
        (["cp", "one", "two"], 2, "NAME:PATH"),
        (["cp", "one", "nobody:two"], 4, "there is no session nobody"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_said_with_its_exit_code(home: Path, words: list[str], code: int, says: str) -> None:
    done = paude(home, *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    sessions = home / ".state/paude/sessions"
    assert not sessions.exists() or list(sessions.iterdir()) == []


def test_every_verb_and_every_word_of_it_is_explained() -> None:
    """And an option takes the same in every verb that has it."""
    takes: dict[str, set[str]] = {}
    for name, verb in verbs():
        assert verb.help, name
        for one in verb.params:
            assert one.help, f"{name}: {one.name}"
            if one.param_type_name == "argument" or not one.is_flag:
                assert one.metavar, f"{name}: {one.name}"
                takes.setdefault("/".join(one.opts), set()).add(one.metavar)
    assert {option: words for option, words in takes.items() if option.startswith("-") and len(words) > 1} == {}
    assert {"-o", "--timeout", "--context"} <= {word for option in takes for word in option.split("/")}


def test_a_list_of_verbs_cuts_no_sentence() -> None:
    root = get_command(app.app)
    context = root.context_class(root)
    for name in root.list_commands(context):
        verb = root.get_command(context, name)
        for inner, one in getattr(verb, "commands", {}).items():
            assert not one.get_short_help_str(60).endswith("..."), f"{name} {inner}"


def test_help_has_headings_and_says_what_follows_two_dashes(home: Path) -> None:
    shown = paude(home, "start", "--help").stdout
    assert "[DIRECTORY] [-- WORDS FOR THE AGENT]" in shown
    assert shown.index("Options:") < shown.index("Where it runs:") < shown.index("What it may reach:")
    assert "openshift-context" not in shown


def test_the_old_spellings_are_still_understood(home: Path) -> None:
    done = paude(
        home, "start", "--agent", "shell", "--dry-run", "--openshift-context", "x", "--openshift-namespace", "y"
    )
    assert done.returncode == 0, done.stderr


def test_stop_all_without_sessions_is_done(home: Path) -> None:
    done = paude(home, "stop", "--all")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no session to stop" in done.stderr


def test_words_after_two_dashes_are_not_paudes(home: Path) -> None:
    program = f"""
import json, sys
sys.argv = ["paude", "start", "--agent", "shell", "--dry-run", "--", *{AWKWARD!r}]
from paude.cli import app
try:
    app.run()
except SystemExit as end:
    assert not end.code
print(json.dumps(app.passed_on()))
"""
    assert json.loads(python(home, program).splitlines()[-1]) == AWKWARD


def test_the_agent_gets_its_words_unchanged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in environment(home).items():
        monkeypatch.setenv(key, value)
    paths = Paths.from_environment()
    wishes = Wishes(home / "project", read(paths, None, {"agent": "shell"}), arguments=tuple(AWKWARD))
    prepared = prepare(wishes, paths, Gift())
    assert list(prepared.request.command) == ["bash", "-l", *AWKWARD]


def test_a_dry_run_prints_the_plan_and_does_nothing(home: Path) -> None:
    done = paude(home, "start", "--agent", "shell", "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "start"
    assert any("create pod" in line and "apply session policy" in line.partition("←")[2] for line in lines)
    assert not (home / ".state/paude/sessions").exists()


def test_hosts_that_a_workspace_brings_are_asked_about_before_anything_is_made(home: Path) -> None:
    (home / "project/paude.json").write_text('{"egress": {"allow": ["evil.test"]}}')
    refused = paude(home, "start", "--agent", "shell")
    assert refused.returncode == 2
    assert 'egress.allow: ["evil.test"]' in refused.stderr
    agreed = paude(home, "start", "--agent", "shell", "--yes")
    assert "there is no kubeconfig" in agreed.stderr
    again = paude(home, "start", "--agent", "shell")
    assert "there is no kubeconfig" in again.stderr


def test_what_is_set_is_shown_with_where_it_comes_from(home: Path) -> None:
    (home / "project/paude.json").write_text('{"storage": {"size": "1Gi"}, "storag": {}}')
    done = paude(home, "config", "show", "-o", "json")
    settings = json.loads(done.stdout)["settings"]
    assert settings["storage.size"] == {"value": "1Gi", "from": "paude.json", "default": "10Gi"}
    assert settings["backend"]["from"] == "PAUDE_BACKEND"
    assert "did you mean storage?" in done.stderr


@pytest.mark.parametrize(
    ("words", "there", "gone"),
    [
        ((), {"PersistentVolumeClaim", "Secret", "StatefulSet", "Deployment", "Service", "NetworkPolicy"}, set()),
        (("--volume", "emptydir"), {"StatefulSet"}, {"PersistentVolumeClaim"}),
        (("--allow-network",), {"StatefulSet"}, {"Deployment", "Service"}),
    ],
    ids=["plain", "emptydir", "no-wall"],
)
def test_a_session_is_printed_as_manifests_without_a_cluster(
    home: Path, words: tuple[str, ...], there: set[str], gone: set[str]
) -> None:
    done = paude(home, "start", "--agent", "shell", "--emit-yaml", "-n", "mine", *words)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    kinds = {one["kind"] for one in objects}
    assert there <= kinds
    assert not gone & kinds
    assert not (home / ".state/paude/sessions").exists()


def test_without_sessions_bare_paude_says_what_comes_next(home: Path) -> None:
    done = paude(home)
    assert done.returncode == 0
    assert "paude start" in done.stdout


def test_data_is_on_stdout_and_trouble_on_stderr(home: Path) -> None:
    done = paude(home, "sessions", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"schema": 1, "sessions": []}
    assert "there is no kubeconfig" in done.stderr
    assert paude(home, "sessions", "-o", "name").stdout == ""


def test_an_error_is_printed_with_why_what_next_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    error = SettingsError("it failed", why="one\ntwo", hint="do this")
    error.leftovers = (Leftover("pod", "x", "kubectl delete pod x"),)
    with pytest.raises(SystemExit) as caught:
        app.fail(error)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "error: it failed\n  one\n  two\n\nhint: do this\nleft behind: pod x; remove it with: kubectl delete pod x\n"
    )


def test_an_errors_words_never_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app.fail(PaudeError("a\x1b[2Jb", why="c\x1b]0;title\x07d\re", hint="f\x9bg"))
    printed = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\r", "\x9b"} & set(printed)


# --- which session ---


def record(name: str, *, at: int = 1, committed: bool = True) -> Record:
    made = f"2026-01-01T00:00:{at:02}+00:00"
    return Record(name, "0" * 16, "kubernetes", f"/{name}", "shell", made, committed=committed)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / part for part in ("state", "run", "config", "cache")))


def test_the_most_recent_session_is_the_default(paths: Paths) -> None:
    for one in (record("old", at=1), record("new", at=3), record("killed", at=5, committed=False)):
        records.save(paths, one)
    assert record_of(None, paths).name == "new"
    assert record_of("old", paths).name == "old"


def test_without_a_finished_one_an_unfinished_session_can_be_stopped(paths: Paths) -> None:
    records.save(paths, record("killed", committed=False))
    assert record_of(None, paths).name == "killed"


def test_a_session_that_is_not_known_is_answered_with_those_that_are(paths: Paths) -> None:
    records.save(paths, record("mine"))
    with pytest.raises(NotFound) as caught:
        record_of("yours", paths)
    assert "mine" in caught.value.why


def test_a_damaged_record_is_no_missing_session(paths: Paths) -> None:
    records.save(paths, record("mine"))
    (paths.session("mine") / "record.json").write_text("{")
    with pytest.raises(SettingsError):
        record_of("mine", paths)


@pytest.mark.parametrize("name", ["../etc", "", "A", "a" * 47])
def test_what_cannot_be_a_name_is_a_matter_of_usage(paths: Paths, name: str) -> None:
    with pytest.raises(UsageError):
        record_of(name, paths)


# --- tables ---


def row(name: str, **more: object) -> Row:
    facts: dict[str, object] = {
        "name": name, "state": "running", "reason": "", "agent": "claude", "workspace": "/w", "age_s": 61.0,
        "namespace": "n", "server": "https://s", "wall": "closed", "owner": "me", "uid": "u",
    }  # fmt: skip
    return Row(**{**facts, **more})  # type: ignore[arg-type]


def test_the_table_has_a_line_for_each_session_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show([row("a"), row("longer", state="parked", reason="idle")], wide=False, headers=True)
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "STATE", "AGENT", "AGE", "WORKSPACE"],
        ["a", "running", "claude", "61s", "/w"],
        ["longer", "parked", "claude", "61s", "/w"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("AGENT", "claude", "claude"), strict=True)}) == 1
    assert printed.err == "longer: idle\n"


@pytest.mark.parametrize(
    ("state", "first"),
    [("running", "paude attach a"), ("pending", "paude attach a"), ("stopped", "paude start '/my work'")],
)
def test_the_next_step_fits_the_state(state: str, first: str) -> None:
    assert next_steps(row("a", state=state, workspace="/my work")) == [first, "paude stop a", "paude --help"]


def test_a_wide_table_says_where_and_whose(capsys: pytest.CaptureFixture[str]) -> None:
    show([row("a")], wide=True, headers=False)
    assert capsys.readouterr().out.split() == ["a", "running", "claude", "61s", "/w", "n", "https://s", "closed", "me"]


def test_nothing_makes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([], wide=False, headers=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (2e5, "2d")]
)
def test_ages_are_written_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert age(seconds) == text
