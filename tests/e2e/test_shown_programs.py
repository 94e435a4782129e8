"""Other programs reach a session: plain ssh, scp and git by its name, a browser by a forwarded port."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from peers.terminal import attached
from peers.waiting import eventually

from laptop import Laptop

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> str:
    files = {"README": "hello\n", "site/index.html": "a page\n"}
    return shared_laptop.start(shared_laptop.workspace("programs", files))


@pytest.fixture
def known(shared_laptop: Laptop) -> Iterator[Laptop]:
    """A laptop whose ssh knows sessions by name."""
    shared_laptop.paude("ssh-config", "--install", "--yes")
    yield shared_laptop
    shared_laptop.paude("ssh-config", "--uninstall", "--yes")


def at_home(laptop: Laptop, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the laptop's user: OpenSSH takes the home from the password file, not from HOME."""
    users = laptop.home / "passwd"
    users.write_text(f"root:x:0:0:root:{laptop.home}:/bin/sh\n")
    script = f"mount --bind {users} /etc/passwd && exec {shlex.join(words)}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=laptop.env,
        cwd=laptop.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_plain_ssh_knows_the_session_by_name(known: Laptop, session: str):
    done = at_home(known, "ssh", f"{session}.paude", "cat /workspace/README; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello\n", "")


def test_plain_scp_carries_files_both_ways(known: Laptop, session: str, tmp_path: Path):
    (tmp_path / "in").write_bytes(bytes(range(256)) * 4096)
    done = at_home(known, "scp", "-q", str(tmp_path / "in"), f"{session}.paude:/tmp/there")
    assert (done.returncode, done.stderr) == (0, "")
    done = at_home(known, "scp", "-q", f"{session}.paude:/tmp/there", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_without_the_line_ssh_does_not_know_it(shared_laptop: Laptop, session: str):
    done = at_home(shared_laptop, "ssh", f"{session}.paude", "true")
    assert done.returncode == 255
    assert "resolve" in done.stderr


def test_a_server_of_the_agents_is_a_page_on_this_machine(shared_laptop: Laptop, session: str):
    with shared_laptop.popen("forward", session, "0:8000") as forward:
        assert forward.stderr is not None
        first = forward.stderr.readline()
        here = first.split()[0]
        assert first == f"{here} is port 8000 of {session}; ^C ends it\n"
        with pytest.raises((OSError, urllib.error.URLError)):
            urllib.request.urlopen(here, timeout=20)
        assert forward.stderr.readline().startswith(f"nothing listens at port 8000 of {session}")
        shared_laptop.inside(session, f"cd /workspace/site && perl -e '{SERVER}'")
        assert urllib.request.urlopen(here, timeout=20).read() == b"a page\n"
        shared_laptop.paude("supervisor", "restart")
        assert urllib.request.urlopen(here, timeout=30).read() == b"a page\n"
        assert forward.stderr.readline() == "the link is lost; connecting anew\n"
        forward.send_signal(signal.SIGINT)
        assert forward.wait(20) == 0


def test_the_supervisor_of_a_session_that_rests_hardly_ever_wakes(shared_laptop: Laptop, session: str):
    pid = supervisor_of(shared_laptop)
    eventually(lambda: woken(pid, 3) < 30, 60, "a supervisor at rest")
    # Counted, not timed: each of these is a turn of its loop, of well under a millisecond.
    assert woken(pid, 10) < 100


def test_after_a_kill_of_the_supervisor_the_next_verb_brings_sync_and_tunnels_back(shared_laptop: Laptop, session: str):
    os.kill(supervisor_of(shared_laptop), signal.SIGKILL)
    workspace = shared_laptop.home / "programs"
    (workspace / "after-kill.txt").write_text("edited while nobody looked")
    look = "cat /workspace/after-kill.txt"
    eventually(lambda: shared_laptop.inside(session, look, None) == "edited while nobody looked", 40, "the edit")
    shared_laptop.inside(session, "echo back > /workspace/back.txt")
    eventually(lambda: (workspace / "back.txt").exists(), 40, "the edit there")
    assert len(daemons(shared_laptop)) == 1, "the killed one's sync daemon lives on"


def supervisor_of(laptop: Laptop) -> int:
    return int(json.loads(laptop.paude("supervisor", "status", "-o", "json").stdout)["pid"])


def daemons(laptop: Laptop) -> list[int]:
    """The sync daemons of this laptop's user."""
    mine = str(laptop.state).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                runs = words[0].endswith(b"paude-sync") and words[1] == b"daemon"
                if runs and mine in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def woken(pid: int, seconds: float) -> int:
    """How often the process went to sleep within so many seconds."""

    def slept() -> int:
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = slept()
    time.sleep(seconds)  # it has no event for nothing that happens
    return slept() - before


def test_a_session_by_kubectls_port_forward_starts_and_works(laptop: Laptop):
    laptop.env["PAUDE_TUNNEL"] = "kubectl"
    workspace = laptop.workspace("through-kubectl", {"README": "hello\n"})
    name = laptop.start(workspace)
    assert laptop.inside(name, "cat README; echo back > home.txt") == "hello\n"
    eventually(lambda: (workspace / "home.txt").exists() and (workspace / "home.txt").read_text() == "back\n", 40)
    laptop.paude("stop", name)


async def test_what_the_agent_writes_past_tmux_stays_off_the_clipboard(shared_laptop: Laptop, session: str):
    async with attached(shared_laptop, session) as one:
        tty = "$(tmux -S /run/paude/tmux.sock list-clients -F '#{client_tty}')"
        harm = r"\033]52;c;eA==\007\033[21t\033[c\033P+q544e\033\\\033]2;mine\007<e%s>"
        await one.shell(f"printf '{harm}' nd >{tty}", "<end>")
        assert b"\x1b]2;mine\x07" in one.user.shown, "what is harmless arrives"
        assert not [word for word in (b"\x1b]52", b"\x1b[21t", b"\x1b[c", b"\x1bP") if word in one.user.shown]


# The pod need not have Python. It listens before it lets go of the shell, and answers as often as it is asked.
SERVER = (
    "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => qq(127.0.0.1:8000), Listen => 5, ReuseAddr => 1)"
    " or die; exit if fork; open(STDIN, qq(</dev/null)); open(STDOUT, qq(>/dev/null)); open(STDERR, qq(>/dev/null));"
    "while (my $c = $s->accept) { while (<$c>) { last if /^\\r?$/ } open(my $f, qq(index.html)); local $/; "
    "print $c qq(HTTP/1.0 200 OK\\r\\n\\r\\n), <$f>; close $c }"
)
