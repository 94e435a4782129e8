"""Bad input of every kind: each is refused, or taken as it is, with words that tell the user what to do; never a trace.

The groups are those of docs/bad-input.md, which names the tests of what needs a cluster or a hostile peer.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from paude.cli import app
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths

NO_CLUSTER = "there is no kubeconfig"  # as far as any start gets here: the input was taken
START = ["start", "--agent", "shell", "--detach"]
NAME = "cannot be a session's name"
HOST = "cannot be on the allowlist"

NAMES = {
    1: [""],
    2: ["a" * 64],
    3: ["Upper", "under_score", "é"],
    4: ["-dash", "--help"],
    5: ["../x", "a/b", "."],
    6: ["a\nb", "\x1b[31m", "😀", "a\u202eb"],
    7: ["$(touch x)", ";reboot", "`id`", "%s", "{0}", "{{.}}"],
    8: ["A" * 46],
    9: ["kube-system", "default", "baseline", "proxy-0123456789ab"],
}
WORKSPACES = {
    10: ("/", "holds your home directory"),
    11: ("{home}", "holds your home directory"),
    12: ("{home}/file", "is not a directory"),
    13: ("{home}/missing", "there is no directory"),
    15: ("{home}/link-to-home", "holds your home directory"),
    18: ("{home}/\udcff\udcfe", "is not text"),
}
TAKEN = {17: ["sp ace", 'q"uote', "co:lon,comma", "new\nline", "$(touch x)"], 20: ["bare.git"]}
HOSTS = {
    21: [
        "", ",", "*", "*.com", ".", "https://a.test", "a.test:443", "a.test/x", "10.0.0.1", "127.1", "10.0.0.0/8",
        "[::1]", "a" * 300 + ".test", ".a.test", "# c", "~(a+)+$", "-n", "a b", "a..test", "*.*.test", "0x7f000001",
    ],
}  # fmt: skip
ENVIRONMENT = {
    "a directory as the kubeconfig": ({"KUBECONFIG": "{home}"}, NO_CLUSTER),
    "a broken kubeconfig": ({"KUBECONFIG": "{home}/broken"}, "cannot be read as a kubeconfig"),
    "an endless kubeconfig": ({"KUBECONFIG": "/dev/zero"}, NO_CLUSTER),
    "two kubeconfigs, one missing": ({"KUBECONFIG": "{home}/nope:{home}/broken"}, "cannot be read as a kubeconfig"),
    "a dumb terminal": ({"TERM": "dumb"}, NO_CLUSTER),
    "no language": ({"LANG": "C", "LC_ALL": "C"}, NO_CLUSTER),
    "no temporary directory": ({"TMPDIR": "/nonexistent"}, NO_CLUSTER),
    "a repository of somebody else": ({"GIT_DIR": "/nonexistent", "GIT_CONFIG_COUNT": "x"}, NO_CLUSTER),
    "a state directory that cannot be": ({"XDG_STATE_HOME": "/proc/x"}, "cannot make its directories"),
    "an unknown backend": ({"PAUDE_BACKEND": "nowhere"}, "one of podman, kubernetes, openshift is wanted"),
    "an unknown platform": ({"PAUDE_PLATFORM": "vax"}, "linux/amd64"),
    "a base image that is none": ({"PAUDE_BASE_IMAGE": "a b"}, "no name of a base image"),
    "a window without columns": ({"COLUMNS": "0", "LINES": "-5"}, NO_CLUSTER),
    "a window of one column": ({"COLUMNS": "1", "LINES": "1"}, "kubeconfig"),
    "a window beyond all screens": ({"COLUMNS": "10000", "LINES": "10000"}, NO_CLUSTER),
    "a terminal that nobody knows": ({"TERM": "xterm-ghostty"}, NO_CLUSTER),
    "programs that git would run": (
        {"GIT_SSH_COMMAND": "touch x", "GIT_EXTERNAL_DIFF": "touch x", "GIT_PAGER": "touch x", "GIT_EDITOR": "touch x"},
        NO_CLUSTER,
    ),
    "an ssh agent that is gone": ({"SSH_AUTH_SOCK": "/nonexistent", "SSH_ASKPASS": "touch x"}, NO_CLUSTER),
}
FILES = {
    "no JSON": ("{", "is no JSON"),
    "an unknown name": ('{"storage": {"sise": "1Gi"}}', "did you mean storage.size?"),
    "a name twice": ('{"storage": {"size": "1Gi", "size": "2Gi"}}', "says 'size' twice"),
    "a name in its group and alone": ('{"storage": {"size": "1Gi"}, "storage.size": "2Gi"}', "'storage.size' twice"),
    "a wrong kind": ('{"storage": {"size": []}}', "a quantity such as"),
    "more than all": ('{"storage": {"size": 1e400}}', "a quantity such as"),
    "a mark of the byte order": ('\ufeff{"storage": {"size": "1Gi"}}', NO_CLUSTER),
    "lines of Windows": ('{\r\n"storage": {"size": "1Gi"}}\r\n', NO_CLUSTER),
    "nothing but depth": ("[" * 100_000, "is no JSON"),
}
NOBODY = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
GOOGLE = {
    "missing": (None, "it does not exist"),
    "empty": ("", "it is empty"),
    "cut off": ('{"type": ', "it is no JSON, or only the beginning of it"),
    "another kind": ("[]", "it is no JSON object"),
    "a service account without its key": ('{"type": "service_account"}', "it has no client_email, private_key"),
    "a source that we would have to ask": (
        '{"type": "external_account", "credential_source": {"executable": {"command": "touch x"}}}',
        "which paude never does for a file"
    ),
    "too large": ("x" * 2_200_000, "it is larger than 64 KiB"),
}  # fmt: skip
FLAGS = {
    "--timeout 0": "more than 0 seconds",
    "--timeout -1": "more than 0 seconds",
    "--timeout nan": "more than 0 seconds",
    "--timeout 1e9": NO_CLUSTER,
    "--timeout soon": "is not a valid float",
    "--backend nowhere": "one of podman, kubernetes, openshift is wanted",
    "--nam x": "No such option: --nam",
    "-n ../x": "cannot be a namespace",
    "-n A_B": "cannot be a namespace",
    "--name a --name b": NO_CLUSTER,
    "--cpu NaN": "a quantity such as",
    "--cpu -1": "a quantity such as",
    "--memory 1g": "a quantity such as",
    "--registry http://x": "is no place for images",
    "--progress loud": "there is no kind of progress",
    "--gpu -1": "0 or more",
    "--allow-network --allow a.test": "--allow-network and --allow contradict each other",
    "--allow-network --private-allow a.test=10.0.0.0/8": "--allow-network and --private-allow contradict each other",
    "--keep --max-age 1h": "--keep and --max-age contradict each other",
    "--detach --mount": "--mount is for sessions on Podman",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything of this machine's; the project in it is the current directory."""
    home = tmp_path / "home"
    for name in ("project", *(one for names in TAKEN.values() for one in names)):
        (home / name).mkdir(parents=True)
    (home / "file").write_text("x")
    (home / "broken").write_text("{")
    (home / "link-to-home").symlink_to(home)
    (home / "\udcff\udcfe").mkdir()
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    for key in list(os.environ):
        monkeypatch.delenv(key)
    own = {"HOME": str(home), "PAUDE_BACKEND": "kubernetes", "PAUDE_BASE_IMAGE": "localhost/none"}
    for variable in ("STATE_HOME", "CACHE_HOME", "CONFIG_HOME", "RUNTIME_DIR"):
        own[f"XDG_{variable}"] = str(tmp_path / variable)
    for key, value in {**kept, **own}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(home / "project")
    return home


@pytest.fixture
def refused(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs paude with words that end with code 2, and gives what it said: printable, without a trace, nothing made."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["paude", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            app.run()
        said = capfd.readouterr().err
        assert ended.value.code == 2, said
        assert "Traceback" not in said
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(said)
        assert not (home / "project" / "x").exists()
        sessions = home.parent / "STATE_HOME/paude/sessions"
        assert not sessions.exists() or list(sessions.iterdir()) == []
        return said

    return run


def table(groups: dict[int, list[str]]) -> list[pytest.param]:
    return [pytest.param(one, id=f"{group}-{ascii(one)[:30]}") for group, each in groups.items() for one in each]


@pytest.mark.parametrize("name", table(NAMES))
def test_what_cannot_be_a_name_is_said_to_be_none(refused: Callable[..., str], name: str) -> None:
    assert NAME in refused(*START, "--name", name)


@pytest.mark.parametrize("group", WORKSPACES)
def test_what_should_not_be_a_workspace_is_refused(refused: Callable[..., str], home: Path, group: int) -> None:
    path, says = WORKSPACES[group]
    assert says in refused(*START, path.format(home=home))


@pytest.mark.parametrize("words", [["-n", ""], ["--context", ""]])
def test_an_empty_name_of_a_place_is_no_name(refused: Callable[..., str], words: list[str]) -> None:
    assert "a name is empty" in refused(*START, *words)


@pytest.mark.parametrize("words", [[""], [".", "--only", ""], [".", "--kubeconfig", ""], [".", "--egress-ca", ""]])
def test_a_variable_that_is_not_set_is_no_path(refused: Callable[..., str], words: list[str]) -> None:
    assert "is empty" in refused(*START, *words)


@pytest.mark.parametrize("name", table(TAKEN))
def test_an_unusual_workspace_is_taken(refused: Callable[..., str], home: Path, name: str) -> None:
    assert NO_CLUSTER in refused(*START, str(home / name))


@pytest.mark.parametrize("host", table(HOSTS))
def test_what_is_no_public_host_name_is_not_allowed(refused: Callable[..., str], host: str) -> None:
    assert HOST in refused(*START, "--allow", host)


def test_a_host_that_would_be_a_line_of_a_configuration_is_refused(refused: Callable[..., str]) -> None:
    assert "http_access" in refused(*START, "--allow", 'a.test"\nhttp_access allow all')


def test_where_nothing_can_be_remembered_that_is_said(refused: Callable[..., str], home: Path) -> None:
    (home / "project/paude.json").write_text('{"egress": {"allow": ["x.test"]}}')
    (home.parent / "STATE_HOME/paude").mkdir(parents=True)
    (home.parent / "STATE_HOME/paude/agreed").write_text("a file where a directory should be")
    assert "cannot be remembered" in refused(*START, "--yes")


def test_a_home_that_no_shell_spelled_out_has_its_settings(refused: Callable[..., str], home: Path) -> None:
    (home / "link-to-home/project/paude.json").write_text('{"storage": {"size": []}}')
    (home / "elsewhere").mkdir()
    os.chdir(home / "elsewhere")
    assert "a quantity such as" in refused(*START, "~/project")


def test_ten_thousand_hosts_are_taken_in_no_time(refused: Callable[..., str]) -> None:
    words = [word for number in range(10_000) for word in ("--allow", f"h{number}.test")]
    assert NO_CLUSTER in refused(*START, *words)


@pytest.mark.parametrize("case", ENVIRONMENT)
def test_a_strange_environment(
    refused: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    variables, says = ENVIRONMENT[case]
    for key, value in variables.items():
        monkeypatch.setenv(key, value.format(home=home))
    assert says in refused(*START)


@pytest.mark.parametrize("case", FILES)
def test_a_strange_settings_file(refused: Callable[..., str], home: Path, case: str) -> None:
    content, says = FILES[case]
    (home / "project/paude.json").write_bytes(content.encode())
    assert says in refused(*START)


@pytest.mark.parametrize("case", GOOGLE)
def test_a_strange_login_of_google(
    refused: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    content, says = GOOGLE[case]
    if content is not None:
        (home / "adc").write_text(content)
    settings = {"CLAUDE_CODE_USE_VERTEX": "1", "GOOGLE_APPLICATION_CREDENTIALS": str(home / "adc")}
    for key, value in {**settings, "ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "us-east5"}.items():
        monkeypatch.setenv(key, value)
    said = refused("start", "--agent", "claude", "--detach", "--yes")
    assert says in said
    assert "x" * 100 not in said


def test_answers_that_cannot_be_read_are_asked_for_again(
    refused: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.parent / "STATE_HOME/paude").mkdir(parents=True)
    (home.parent / "STATE_HOME/paude/consent").write_bytes(b"\xff")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k" * 40)
    assert "somebody has to agree" in refused("start", "--agent", "claude", "--detach")


@pytest.mark.parametrize("flags", FLAGS)
def test_strange_flags(refused: Callable[..., str], flags: str) -> None:
    assert FLAGS[flags] in refused(*START, *flags.split())


def test_the_agents_words_may_be_as_long_as_one_argument_can_be(refused: Callable[..., str]) -> None:
    assert NO_CLUSTER in refused(*START, "--", "x" * 131_000, "--timeout", "nan", "-n", "../x", "$(touch x)")


# --- what only a process of its own can have


def process(
    home: Path, *words: str, prepare: Callable[[], object] | None = None, cwd: Path | None = None
) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "paude", *words],
        cwd=cwd or home / "project",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=prepare,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_current_directory_that_is_gone(home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code, said = process(home, *START, cwd=gone, prepare=gone.rmdir)
    assert (code, "the current directory is gone" in said) == (2, True)


def test_a_reader_that_has_gone_is_not_worth_a_word(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        words = [sys.executable, "-m", "paude", "config", "schema"]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode in {0, 1}
    assert done.stderr == ""


def test_without_a_home_the_users_entry_tells_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("KUBECONFIG", str(home / "nothing"))
    code, said = process(home, *START)
    assert (code, NO_CLUSTER in said) == (2, True)


PLUGINS = {
    "fails": ("echo to log in: go away >&2; exit 3", "go away"),
    "says something else": ("echo Password:", "brought neither a token nor a certificate"),
    "asks": ("read -r answer && echo $answer || exit 4", "ended with 4"),
    "says depth": ("head -c 100000 /dev/zero | tr '\\0' '['", "brought neither a token nor a certificate"),
}


@pytest.mark.parametrize("case", PLUGINS)
def test_a_strange_plug_in_of_the_kubeconfig(home: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    code, words = plugged(home, monkeypatch, PLUGINS[case][0])
    assert (code, PLUGINS[case][1] in words) == (7, True), words


def test_a_plug_in_that_hangs_is_waited_for_no_longer_than_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, words = plugged(home, monkeypatch, "exec sleep 1000", "--timeout", "2")
    assert (code, "connect" in words) == (124, True), words


def plugged(home: Path, monkeypatch: pytest.MonkeyPatch, script: str, *words: str) -> tuple[int, str]:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}
    config = home / "plugged"
    config.write_text(NOBODY.replace("{token: t}", json.dumps({"exec": {**plugin, "interactiveMode": "Never"}})))
    monkeypatch.setenv("KUBECONFIG", str(config))
    return process(home, *START, *words)


@pytest.mark.parametrize("make", [lambda file: file.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_no_settings_file(
    refused: Callable[..., str], home: Path, make: Callable[[Path], None]
) -> None:
    make(home / "project/paude.json")
    assert "paude.json is no file" in refused(*START)


@pytest.mark.parametrize("descriptor", [0, 1])
def test_a_stream_that_is_closed_leads_nowhere(home: Path, descriptor: int) -> None:
    code, said = process(home, *START, prepare=lambda: os.close(descriptor))
    assert (code, NO_CLUSTER in said) == (2, True)


def test_whatever_the_umask_what_is_kept_is_the_users_own(home: Path, tmp_path: Path) -> None:
    code, _ = process(home, *START, prepare=lambda: os.umask(0))
    assert code == 2
    assert (tmp_path / "STATE_HOME/paude").stat().st_mode & 0o077 == 0


PROXIES = [
    ({"HTTPS_PROXY": "http://[bad"}, "cannot be reached"),
    ({"HTTPS_PROXY": "gopher://127.0.0.1:1"}, "the proxy on the way to the cluster cannot be used"),
    ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "the proxy on the way to the cluster cannot be used"),
    ({"HTTPS_PROXY": "http://127.0.0.1:1"}, "cannot be reached"),
    ({"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"}, "cannot be reached"),
    ({"HTTP_PROXY": "http://[bad", "NO_PROXY": ",,"}, "cannot be reached"),
]


@pytest.mark.parametrize(("variables", "says"), PROXIES)
def test_a_strange_proxy_of_the_laptop(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    (home / "nobody").write_text(NOBODY)
    for key, value in {"KUBECONFIG": str(home / "nobody"), **variables}.items():
        monkeypatch.setenv(key, value)
    code, said = process(home, *START)
    assert code in {2, 255}
    assert says in said


@pytest.mark.parametrize(("known", "wanted"), [("outer", "outer/inner"), ("outer/inner", "outer")])
def test_two_workspaces_do_not_lie_one_in_the_other(home: Path, tmp_path: Path, known: str, wanted: str) -> None:
    (home / "outer/inner").mkdir(parents=True)
    paths = Paths(*(tmp_path / part / "paude" for part in ("STATE_HOME", "RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME")))
    made = "2026-01-01T00:00:00+00:00"
    records.save(paths, Record("first", "0" * 16, "kubernetes", str(home / known), "shell", made, committed=True))
    code, said = process(home, *START, str(home / wanted))
    assert (code, "lie one in the other" in said) == (5, True)
