"""The acceptance checklist, run with `paude` alone on sessions of its own, and printed ticked."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import pty
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
MIB = 1024 * 1024
SMALL = ["--cpu-request", "200m", "--memory-request", "512Mi"]  # so that three sessions fit a small cluster
AGENT_CAN = "curl -sk -o /dev/null --max-time 15"


class NotShown(Exception):
    """The check does not apply here, or was not asked for."""


class Failed(Exception):
    """What was promised was not seen."""


@dataclass
class Checks:
    """Everything that the checks share: a home of their own, and how sessions are started."""

    options: argparse.Namespace
    start_words: list[str]
    home: Path
    env: dict[str, str]
    sessions: dict[str, str] = field(default_factory=dict)

    # --- hands

    def paude(self, *words: str, fine: tuple[int, ...] = (0,), timeout: float = 900) -> str:
        """What `paude` prints; Failed with its last words when it ends otherwise than in `fine`."""
        argv = [sys.executable, "-m", "paude", *words]
        done = subprocess.run(
            argv, env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode not in fine:
            said = " ".join(done.stderr.split())[-400:]
            raise Failed(f"`paude {' '.join(words[:2])}` ended with {done.returncode}: {said}")
        return done.stdout

    def start(self, project: str, *words: str) -> str:
        """A session with a shell as its agent; gives its name."""
        directory = self.home / project
        directory.mkdir(exist_ok=True)
        name = f"accept-{project}-{secrets.token_hex(2)}"
        self.sessions[project] = name
        where = [str(directory), "--name", name, "--agent", "shell", "--detach", "--yes", "--progress", "quiet"]
        self.paude("start", *where, *self.start_words, *words)
        return name

    @property
    def main(self) -> str:
        """The session that most checks use."""
        if "main" not in self.sessions:
            raise Failed("there is no session")
        return self.sessions["main"]

    def inside(self, command: str, session: str = "", fine: tuple[int, ...] = (0,)) -> str:
        """What a command prints in the agent's container."""
        return self.paude("exec", session or self.main, "--no-tty", "--", "bash", "-c", command, fine=fine)

    def arrives(self, command: str, expected: str, within: float = 120) -> None:
        """Wait until the command prints that, in the pod."""
        until = time.monotonic() + within
        while self.inside(f"{command} 2>/dev/null; true").strip() != expected:
            _patience(until, f"`{command}` in the pod")

    def comes(self, path: Path, expected: str, within: float = 120) -> None:
        """Wait until the file is here with this content's digest."""
        until = time.monotonic() + within
        while not path.is_file() or _digest(path) != expected:
            _patience(until, f"{path.name} on the laptop")

    # --- checks

    def installs(self) -> str:
        """A fresh install works."""
        if self.options.quick:
            raise NotShown("--quick")
        with tempfile.TemporaryDirectory() as name:
            venv.create(name, with_pip=True)
            _run([f"{name}/bin/pip", "install", "--quiet", str(CHECKOUT)])
            return f"{_run([f'{name}/bin/paude', '--version']).strip()} in a new environment"

    def works(self) -> str:
        """A session starts on this cluster."""
        git = self.home / "main"
        git.mkdir()
        for words in (["init", "-qb", "main"], ["commit", "-q", "--allow-empty", "-m", "begin"]):
            _run(["git", "-c", "user.name=accept", "-c", "user.email=accept@example.invalid", "-C", str(git), *words])
        began = time.monotonic()
        name = self.start("main", "--allow", self.options.allowed)
        seconds = time.monotonic() - began
        until = time.monotonic() + 60
        while (facts := json.loads(self.paude("status", name, "-o", "json")))["state"] == "starting":
            _patience(until, "what the cluster says of a container that runs")  # a kubelet tells it a moment later
        if facts["state"] != "running":
            raise Failed(f"it is {facts['state']}: {facts['reason']}")
        return f"{facts['server']}, namespace {facts['namespace']}, in {seconds:.0f} s"

    def survives_a_cut(self) -> str:
        """Every connection ends; work there and edits here go on, and meet again."""
        self.inside("nohup sh -c 'echo $$ > /tmp/works; exec sleep 3600' > /dev/null 2>&1 &")
        self.paude("supervisor", "stop")
        (self.home / "main/while-cut").write_text("edited meanwhile")
        self.arrives("cat while-cut", "edited meanwhile")
        self.inside("kill -0 $(cat /tmp/works)")
        return "connections ended from this side; the work in the pod went on, the edit arrived"

    def survives_sleep(self) -> str:
        """Terminal and supervisor are frozen, as a closed lid does it, for longer than many idle limits."""
        seconds = 5 if self.options.quick else 90
        with _terminal(self.env, self.home, self.main) as terminal:
            terminal.sees(b"$ ", 60)
            terminal.type(b"woken=$((40+2))\r")
            frozen = [terminal.pid, self._supervisor()]
            try:
                for pid in frozen:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(seconds)
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
            terminal.type(b"echo =$woken=\r")
            terminal.sees(b"=42=", 60)
        (self.home / "main/awake").write_text("after sleep")
        self.arrives("cat awake", "after sleep")
        return f"frozen for {seconds} s; the same shell answered, the edit arrived"

    def _supervisor(self) -> int:
        self.paude("sync", "status", self.main)
        return int(json.loads(self.paude("supervisor", "status", "-o", "json"))["pid"])

    def large_files(self) -> str:
        """One large file each way."""
        size = (16 if self.options.quick else 256) * MIB
        out = self.home / "main/large-out"
        with out.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        self.arrives("sha256sum < large-out | cut -d' ' -f1", _digest(out), 900)
        digest = self.inside(f"head -c {size} /dev/urandom > large-in && sha256sum < large-in | cut -d' ' -f1").strip()
        self.comes(self.home / "main/large-in", digest, 900)
        return f"{size // MIB} MiB each way, the same bytes"

    def many_files(self) -> str:
        """Many small files, and what `sync verify` says of both trees."""
        count = 500 if self.options.quick else 10_000
        for number in range(count):
            directory = self.home / f"main/many/{number // 100}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / str(number)).write_text(f"file {number}\n")
        self.arrives("find many -type f | wc -l", str(count), 900)
        self.inside("mkdir -p back && for i in $(seq 500); do echo $i > back/$i; done")
        self.paude("sync", "flush", self.main)
        self.paude("sync", "verify", self.main)
        return f"{count} there, 500 back, both sides equal by hash"

    def git(self) -> str:
        """Commit, status and diff there; the commit comes home."""
        self.inside("git config user.name agent; git config user.email agent@example.invalid")
        self.inside("echo one > tracked && git add tracked && git commit -qm 'by the agent' && echo two > tracked")
        if "tracked" not in self.inside("git status --porcelain") or "+two" not in self.inside("git diff"):
            raise Failed("status or diff do not show the change")
        commit = self.inside("git rev-parse HEAD").strip()
        until = time.monotonic() + 60
        while subprocess.run(
            ["git", "-C", str(self.home / "main"), "cat-file", "-e", commit], capture_output=True, check=False
        ).returncode:
            _patience(until, "the agent's commit on the laptop")
        return f"{commit[:10]} was made there and is here"

    def vertex(self) -> str:
        """Claude Code answers by way of Vertex."""
        if not self.options.vertex:
            raise NotShown("--vertex, with a login by `gcloud auth application-default login`")
        directory = self.home / "vertex"
        directory.mkdir()
        name = f"accept-vertex-{secrets.token_hex(2)}"
        self.sessions["vertex"] = name
        self.env["CLAUDE_CODE_USE_VERTEX"] = "1"
        where = [str(directory), "--name", name, "--detach", "--yes", "--progress", "quiet"]
        self.paude("start", *where, *self.start_words)
        said = self.inside('claude -p "Answer with the one word pong."', name)
        if "pong" not in said.lower():
            raise Failed(f"it said {said[:80]!r}")
        return "Claude Code said pong"

    def no_way_out(self) -> str:
        """Without the proxy nothing answers: neither a name nor an address."""
        address = "https://${KUBERNETES_SERVICE_HOST:-10.96.0.1}"
        for target in (f"https://{self.options.allowed}/", f"{address}/"):
            self.inside(f"! {AGENT_CAN} --noproxy '*' --max-time 5 {target}")
        return "curl without the proxy fails, by name and by address"

    def _proxy_answers(self, host: str) -> str:
        command = f"{AGENT_CAN} -w '%{{http_connect}}' https://{host}/ || true"
        return self.inside(command).strip()[-3:]

    def way_to_the_allowed(self) -> str:
        """The proxy lets a listed host pass."""
        if (code := self._proxy_answers(self.options.allowed)) != "200":
            raise Failed(f"the proxy answers {code} for {self.options.allowed}")
        return f"{self.options.allowed} by way of the proxy"

    def refuses_others(self) -> str:
        """The proxy refuses another host, and that is told."""
        if (code := self._proxy_answers(self.options.forbidden)) != "403":
            raise Failed(f"the proxy answers {code} for {self.options.forbidden}")
        if self.options.forbidden not in self.paude("blocked", self.main, "-o", "name").split():
            raise Failed("`paude blocked` does not know of it")
        return f"{self.options.forbidden} was refused, and `paude blocked` shows it"

    def only_the_proxy(self) -> str:
        """The whole battery of probes, from inside the pod's network."""
        probes = json.loads(self.paude("verify", self.main, "-o", "json"))["probes"]
        return f"{len(probes)} probes, none got out (DNS is closed too)"

    def allow_network(self) -> str:
        """Without the wall there is neither policy nor proxy."""
        name = self.start("open", "--allow-network")
        wall = {one["name"]: one["wall"] for one in json.loads(self.paude("sessions", "-o", "json"))["sessions"]}
        if wall.get(name) != "open" or self.inside("echo $HTTPS_PROXY", name).strip():
            raise Failed("it has a wall or a proxy")
        self.inside(f"{AGENT_CAN} --noproxy '*' https://{self.options.allowed}/", name)
        self.paude("stop", name, "--discard")
        return f"{self.options.allowed} without a proxy; shown as open"

    def several(self) -> str:
        """A second session beside the first, with the same list and so the same proxy."""
        name = self.start("second", "--allow", self.options.allowed)
        shared = json.loads(self.paude("egress", "show", name, "-o", "json"))["shared_by"]
        if not {name, self.main} <= set(shared):
            raise Failed(f"the proxy serves {shared}")
        return f"one proxy for {len(shared)} sessions"

    def cleans_up(self) -> str:
        """One session ends; what was only its own has gone, the shared proxy has not."""
        gone = self.sessions.pop("second")
        self.paude("stop", gone)
        if gone in self.paude("sessions", "-o", "name").split():
            raise Failed("it is still listed")
        self._nothing_left(gone)
        if self._proxy_answers(self.options.allowed) != "200":
            raise Failed("the other session has lost its proxy")
        return "the other session still reaches its host"

    def stops_all(self) -> str:
        """All of this run's sessions end; the proxy goes with the last one."""
        name, digest = self.main, json.loads(self.paude("egress", "show", self.main, "-o", "json"))["allowlist"]
        self.paude("stop", "--all", "--discard")
        self.sessions.clear()
        self._nothing_left(name)
        if left := self._objects(f"paude.io/allowlist={digest}"):
            return f"sessions are gone; the proxy serves others here: {left}"
        return "nothing is left but the baseline policy"

    def _nothing_left(self, session: str) -> None:
        if left := self._objects(f"paude.io/session={session}"):
            raise Failed(f"left behind: {left}")

    def _objects(self, selector: str) -> str:
        """What a label finds, where there is an `oc` or a `kubectl` to ask; paude itself needs neither."""
        tool = shutil.which("oc") or shutil.which("kubectl")
        if tool is None:
            return ""
        where = [f"--context={self.options.context}"] if self.options.context else []
        where += ["-n", self.options.namespace] if self.options.namespace else []
        kinds = "statefulset,deployment,pod,service,secret,configmap,networkpolicy,pvc"
        until = time.monotonic() + 60
        while found := _run([tool, *where, "get", kinds, "-l", selector, "-o", "name"], env=self.env).split():
            if time.monotonic() > until:
                break
            time.sleep(1)
        return ", ".join(found)


CHECKLIST: list[tuple[str, Callable[[Checks], str]]] = [
    (f"Fresh install works on {platform.system().replace('Darwin', 'macOS')}", Checks.installs),
    ("Works with this cluster", Checks.works),
    ("Session survives network drop", Checks.survives_a_cut),
    ("Session survives laptop sleep", Checks.survives_sleep),
    ("File sync handles large files", Checks.large_files),
    ("File sync handles many small files", Checks.many_files),
    ("Git operations work (commit, status, diff)", Checks.git),
    ("Vertex AI authentication works", Checks.vertex),
    ("Network isolation: the agent cannot reach the internet directly", Checks.no_way_out),
    ("Network isolation: the agent reaches an allowed host by the proxy", Checks.way_to_the_allowed),
    ("Network isolation: the proxy blocks other hosts", Checks.refuses_others),
    ("NetworkPolicy: egress is limited to the proxy", Checks.only_the_proxy),
    ("--allow-network enables full access", Checks.allow_network),
    ("Multiple sessions work at once and share the proxy", Checks.several),
    ("Clean-up removes a session's resources and leaves the shared proxy", Checks.cleans_up),
    ("paude stop --all removes everything, the proxy too", Checks.stops_all),
]


# --- small tools


def _patience(until: float, what: str) -> None:
    if time.monotonic() > until:
        raise Failed(f"{what} did not come")
    time.sleep(0.3)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(argv: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"`{' '.join(argv[:3])}` ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


class Terminal:
    """`paude attach` on a terminal of its own."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid, self._master, self._shown = pid, master, b""

    def type(self, keys: bytes) -> None:
        """Press these keys."""
        os.write(self._master, keys)

    def sees(self, text: bytes, within: float) -> None:
        """Wait until the text was shown."""
        until = time.monotonic() + within
        while text not in self._shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
            more = self._more() if ready else b""
            if not more:
                raise Failed(f"the terminal does not show {text!r}, but {self._shown[-200:]!r}")
            self._shown += more

    def _more(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError:  # Linux's word for: nobody writes to it any more
            return b""


@contextlib.contextmanager
def _terminal(env: dict[str, str], home: Path, session: str) -> Iterator[Terminal]:
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve(sys.executable, [sys.executable, "-m", "paude", "attach", session], {**env, "TERM": "xterm"})
    try:
        yield Terminal(pid, master)
    finally:
        for number in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        os.close(master)


def _mark(check: Callable[[Checks], str], checks: Checks) -> tuple[str, str]:
    try:
        return "x", check(checks)
    except NotShown as reason:
        return "-", f"not run: {reason}"
    except (Failed, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
        return " ", f"FAILED: {error}"


def main() -> int:
    """Run the list; 0 when nothing failed."""
    words = argparse.ArgumentParser(prog="scripts/accept", description=__doc__)
    words.add_argument("--context")
    words.add_argument("-n", "--namespace")
    words.add_argument("--allowed", default="oauth2.googleapis.com", help="a host to put on the list; it must answer")
    words.add_argument("--forbidden", default="example.com", help="a host that is not on it")
    words.add_argument("--vertex", action="store_true", help="also ask Claude Code by way of Vertex")
    words.add_argument("--quick", action="store_true", help="smaller files, a short sleep, no fresh install")
    options, more = words.parse_known_args()
    place = ["--context", options.context] if options.context else []
    place += ["-n", options.namespace] if options.namespace else []
    # A home of its own for sessions, so that yours are neither listed nor stopped; short, for the sockets in it.
    home = Path(tempfile.mkdtemp(prefix="pa-", dir="/tmp")).resolve()
    own = {"XDG_STATE_HOME": home / "s", "XDG_RUNTIME_DIR": home / "r"}
    for directory in own.values():
        directory.mkdir(mode=0o700)
    env = {"PAUDE_BACKEND": "kubernetes", **os.environ, **{key: str(path) for key, path in own.items()}}
    checks = Checks(options, [*place, *SMALL, *more], home, env)
    failures = 0
    try:
        for promise, check in CHECKLIST:
            mark, seen = _mark(check, checks)
            failures += mark == " "
            print(f"- [{mark}] {promise}\n      {seen}", flush=True)
    finally:
        checks.paude("stop", "--all", "--discard", fine=tuple(range(256)))
        checks.paude("supervisor", "stop", fine=tuple(range(256)))
        shutil.rmtree(home, ignore_errors=True)
    print(f"\naccept: {'ok' if not failures else f'{failures} failed'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
