"""Whatever is killed, and whenever: the next verb finds it by the record, and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from laptop import Laptop
from paude.backends.podman import ownership
from paude.backends.podman.engine import Engine
from paude.backends.podman.stop import Stop
from paude.plans.perform import start_plan
from paude.plans.request import Gift, Wishes, prepare
from paude.sessions import records
from paude.sessions.records import Record
from paude.settings import Paths, read
from podman_machine import BASE, available, machine, podman, things
from waiting import eventually

pytestmark = pytest.mark.podman

SHORT = ["claim volume", "store secrets", "run proxy", "make network", "run gate", "run agent", "first sync"]
"""Where paude itself is killed in every run; elsewhere, and whatever else is killed, in the long one."""


def steps() -> list[str]:
    """The steps of a start, in the order in which the plan names them."""
    paths = Paths(*[Path("/nonexistent")] * 4)
    ready = prepare(
        Wishes(Path(__file__).parent, read(paths, None, {"agent": "shell", "backend": "podman"})), paths, Gift()
    )
    return [node.name for node in start_plan(ready)]


def in_turn(victim: str, *always: str) -> Iterator[object]:
    """Every step with that victim; all but those that are named only in the long form."""
    for step in steps():
        yield pytest.param(victim, step, marks=marks(step, always), id=f"{victim}-{step}")


def marks(step: str, always: Sequence[str]) -> list[pytest.MarkDecorator]:
    return [] if step in always else [pytest.mark.slow]


EVERY = [
    *in_turn("paude", *SHORT),
    *in_turn("podman", "run gate"),
    *in_turn("conmon", "run agent"),
]
SYNCING = ["define sync", "seed", "first sync"]


CUT_OFF = """#!/bin/sh
# Creates the container, and kills the podman that wants it before that one learns of it.
runc "$@"
done=$?
case " $* " in *" create "*) pkill -KILL -f "^podman --runtime=$0 run " ;; esac
exit $done
"""


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    if not available():
        pytest.skip("needs podman and the base image")
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        made.start(made.workspace("warm"), "--name", "kill-warm", "--timeout", "250")  # the images are there after it
        made.paude("stop", "kill-warm")
        yield made


def killed_at(laptop: Laptop, workspace: Path, name: str, step: str, victim: str = "paude") -> tuple[int, str]:
    """Start a session and kill something without any warning when a step begins; how the start ends, and its words."""
    words = ("--agent", "shell", "-d", "--name", name, "--progress", "plain", "--timeout", "200")
    with laptop.popen("start", str(workspace), *words) as child:
        assert child.stderr is not None
        said = ""
        for line in child.stderr:
            said += line
            if f"{step}: started" in line:
                break
        else:
            raise AssertionError(f"it never came to {step!r}:\n{said}")
        for pid in VICTIMS[victim](laptop, child.pid, name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        said += child.stderr.read()
        return child.wait(), said


def supervisors(laptop: Laptop, _: int, name: str) -> list[int]:
    """The supervisor of that laptop; none is there before the step that starts it."""
    return [pid for pid in processes("paude[.]plans[.]supervise") if f"HOME={laptop.home}" in environment(pid)]


def environment(pid: int) -> list[str]:
    """The variables of a process; none of one that is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    return []


def monitors(_: Laptop, pid: int, name: str) -> list[int]:
    """The processes (conmon's) that watch the session's containers."""
    ids = podman("ps", "--all", "--no-trunc", "--filter", f"name=paude-{name}-", "--format", "{{.ID}}").split()
    return [found for one in ids for found in processes(f"conmon.*-c {one}")]


def processes(pattern: str) -> list[int]:
    """Those with such a command line."""
    listed = subprocess.run(["pgrep", "-f", "--", pattern], capture_output=True, text=True)
    return [int(one) for one in listed.stdout.split()]


VICTIMS: dict[str, Callable[[Laptop, int, str], list[int]]] = {
    "paude": lambda laptop, pid, name: [pid],
    "podman": lambda laptop, pid, name: children_of(pid, "podman"),
    "conmon": monitors,
    "supervisor": supervisors,
}


@pytest.mark.parametrize(("victim", "step"), EVERY)
def test_nothing_is_left_of_a_start_in_which_something_was_killed(laptop: Laptop, victim: str, step: str) -> None:
    before = things("kill-")
    name = f"kill-{victim[:3]}-{step.replace(' ', '-')}"
    code, said = killed_at(laptop, laptop.workspace(name), name, step, victim)
    assert code >= 0 or victim == "paude", said
    assert "Traceback" not in said
    laptop.paude("stop", name, "--discard", code=None)
    assert things("kill-") == before
    assert name not in str(laptop.records())
    eventually(lambda: set(processes(f"paude-{name}")) <= {os.getpid()}, what="the last process of the session ends")


@pytest.mark.parametrize("step", [pytest.param(step, marks=marks(step, SYNCING)) for step in steps()])
def test_a_start_whose_supervisor_is_killed_comes_through(laptop: Laptop, step: str) -> None:
    before = things("kill-")
    name = f"kill-sup-{step.replace(' ', '-')}"
    workspace = laptop.workspace(name, {f"{number // 50}/{number}": "x" for number in range(500)})
    code, said = killed_at(laptop, workspace, name, step, "supervisor")
    assert code == 0, said
    assert supervisors(laptop, 0, name), "only the next verb would have brought another one"
    eventually(lambda: healthy(laptop, name), what="the sync is in step")
    (workspace / "later").write_text("later")
    laptop.paude("sync", "flush", name)
    assert laptop.inside(name, "ls /workspace/9 | wc -l; cat /workspace/later") == "50\nlater"
    laptop.paude("stop", name)
    assert things("kill-") == before


def healthy(laptop: Laptop, name: str) -> bool:
    found = json.loads(laptop.paude("sync", "status", name, "-o", "json").stdout)
    return bool(found["healthy"] and found["cycles"])


def test_a_start_after_a_killed_one_works_and_takes_its_place(laptop: Laptop) -> None:
    workspace = laptop.workspace("again")
    killed_at(laptop, workspace, "kill-again", "run agent")
    laptop.start(workspace, "--name", "kill-again")
    assert laptop.inside("kill-again", "cat /workspace/README") == "hello\n"
    laptop.paude("stop", "kill-again", "--discard")
    assert things("kill-again") == set()


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_verb_has_another(laptop: Laptop) -> None:
    workspace = laptop.workspace("lonely")
    laptop.start(workspace, "--name", "kill-lonely")
    own = json.loads(laptop.paude("supervisor", "status", "-o", "json").stdout)
    os.kill(own["pid"], signal.SIGKILL)
    laptop.inside("kill-lonely", "echo meanwhile > /workspace/meanwhile")
    laptop.paude("stop", "kill-lonely")
    assert (workspace / "meanwhile").read_text() == "meanwhile\n"
    assert things("kill-lonely") == set()
    listed = subprocess.run(["pgrep", "-f", f"{laptop.home}"], capture_output=True, text=True).stdout.split()
    commands = {Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in listed}
    assert not [one for one in commands if b"podman exec" in one]


def test_a_session_whose_containers_and_monitors_were_killed_starts_again_with_what_it_had(laptop: Laptop) -> None:
    workspace = laptop.workspace("hurt")
    laptop.start(workspace, "--name", "kill-hurt")
    laptop.inside("kill-hurt", "echo kept > /home/paude/kept")
    pids = podman("ps", "--filter", "name=paude-kill-hurt-", "--format", "{{.Pid}}").split()
    watching = monitors(laptop, 0, "kill-hurt")
    assert watching
    for pid in [*watching, *pids]:
        os.kill(int(pid), signal.SIGKILL)
    laptop.start(workspace)
    assert laptop.inside("kill-hurt", "cat /home/paude/kept") == "kept\n"
    laptop.paude("stop", "kill-hurt")
    assert things("kill-hurt") == set()


@pytest.mark.anyio
async def test_a_container_whose_creation_was_cut_off_goes_with_its_processes(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text(CUT_OFF)
    runtime.chmod(0o755)
    name = f"kill-{tmp_path.name}"
    podman(f"--runtime={runtime}", "run", "--detach", f"--name={name}", BASE, "sleep", "inf", check=False)
    try:
        assert podman("container", "inspect", "--format", "{{.State.Status}}", name) == "created"
        assert processes(f"conmon.*-n {name}")
        await Engine().remove_containers([name])
        assert things(name) == set()
        eventually(lambda: not processes(f"conmon.*-n {name}"), what="the container's monitor ends")
    finally:
        for monitor in processes(f"conmon.*-n {name}"):
            for pid in [*children_of(monitor, "runc"), monitor]:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.anyio
async def test_what_only_the_storage_knows_of_a_killed_podman_is_the_sessions_and_goes_with_it(tmp_path: Path) -> None:
    session = f"kill-{tmp_path.name.replace('_', '-')[:30].strip('-')}"
    name = f"paude-{session}-gate"
    begin = ("podman", "run", "--detach", "--network=none", f"--name={name}", BASE, "sleep", "inf")
    engine = Engine()
    for moment in range(400):  # one of ten is just after the storage was told, and before podman's own list was
        begun_and_killed(begin, 0.05 + moment % 40 * 0.005)
        if [one["State"] for one in await ownership.containers_of(engine, session, "0" * 16)] == ["storage"]:
            break
        await engine.remove_containers([name])
    else:
        raise AssertionError("podman was never killed at that moment")
    record = Record(session, "0" * 16, "podman", "/w", "shell", records.now())
    await Stop(record, Paths(*[tmp_path] * 4)).delete_containers(engine)
    assert things(name) == set()


def begun_and_killed(words: Sequence[str], after_s: float) -> None:
    """A command that has no time to end well."""
    made = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        made.wait(after_s)
    made.kill()
    made.wait()


def children_of(pid: int, name: str) -> list[int]:
    """The children of that name."""
    listed = subprocess.run(["pgrep", "-P", str(pid), name], capture_output=True, text=True)
    return [int(one) for one in listed.stdout.split()]
