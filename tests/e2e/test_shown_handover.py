"""Two laptops and one session: the second has nothing but a kubeconfig."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from peers.terminal import attached
from peers.waiting import eventually

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

TAKEN = "the sync was taken over by"


def sync(laptop: Laptop, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(laptop.paude("sync", "status", name, "-o", "json").stdout)
    return found


@contextmanager
def asleep(laptop: Laptop) -> Iterator[None]:
    """Everything that goes out of this laptop goes by its supervisor, which is frozen as a closed lid does it."""
    pid = json.loads(laptop.paude("supervisor", "status", "-o", "json").stdout)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def refused(laptop: Laptop, *words: str) -> None:
    done = laptop.paude(*words, code=5)
    assert "is kept in step with another laptop" in done.stderr
    assert "--take-over" in done.stderr


async def test_a_session_goes_from_laptop_to_laptop_and_nothing_is_lost(
    laptop: Laptop, other_laptop: Laptop, kubectl: Admin
) -> None:
    other = other_laptop
    here = laptop.workspace("project", {"both": "same\n", "mine": "of the first\n", "differs": "first's\n"})
    there = other.workspace("copy", {"both": "same\n", "theirs": "of the second\n", "differs": "second's\n"})
    name = laptop.start(here)

    # The second one knows a name, and has a kubeconfig.
    other.paude("attach", name, "--detach")
    async with attached(other, name) as looking:
        await looking.shell("echo typed=$((40+2)); cat mine", "typed=42")
        await looking.user.sees(b"of the first")
    assert name in other.paude("sessions", "-o", "name").stdout.split()
    assert other.inside(name, "cat both") == "same\n"
    keys = other.state / "paude/sessions" / name
    assert {stat.S_IMODE(file.stat().st_mode) for file in keys.glob("id_*")} == {0o600}
    mounts = kubectl("get", "pod", f"paude-{name}-0", "-o", "jsonpath={.spec.volumes}")
    assert f"paude-{name}-gate" in mounts
    assert f"paude-{name}-laptop" not in mounts

    # It may look, and no more: the files are the first one's.
    for words in (("sync", "status", name), ("sync", "flush", name), ("review", name), ("stop", name)):
        refused(other, *words)
    refused(other, "start", str(there), "--name", name, "--agent", "shell", "--detach")
    assert sync(laptop, name)["healthy"]

    other.paude(
        "attach", name, "--take-over", "--workspace", str(there), "--detach", code=2
    )  # asks, and there is nobody
    other.paude("attach", name, "--take-over", "--workspace", str(there), "--detach", "--yes")
    eventually(lambda: (there / "mine").exists(), what="the first laptop's file on the second")
    assert other.inside(name, "cat theirs differs") == "of the second\nfirst's\n"
    assert "differs" in other.paude("sync", "conflicts", name, code=9).stdout
    assert (there / "differs").read_text() == "second's\n"
    other.paude("sync", "resolve", "differs", "--keep", "both", "--session", name)

    # The first one stops, says so, and keeps what it has.
    told = eventually(lambda: str(sync(laptop, name)["taken_over"]), 30, "word of it on the first laptop")
    assert TAKEN in told
    (here / "mine").write_text("edited on the first\n")
    (there / "both").write_text("edited on the second\n")
    eventually(lambda: other.inside(name, "cat both") == "edited on the second\n", what="the second one's edit")
    assert other.inside(name, "cat mine") == "of the first\n"
    assert not (here / "theirs").exists()
    assert TAKEN in laptop.paude("sync", "status", name).stdout
    refused(laptop, "sync", "resume", name)
    refused(laptop, "start", str(here), "--agent", "shell", "--detach")
    refused(laptop, "stop", name)
    assert TAKEN in str(sync(laptop, name)["taken_over"])
    assert laptop.inside(name, "cat both") == "edited on the second\n"  # whoever has the keys may look

    # And back, while the second one sleeps.
    with asleep(other):
        (there / "mine").write_text("edited on the second\n")
        laptop.paude("attach", name, "--take-over", "--detach")
    eventually(lambda: laptop.inside(name, "cat mine") == "edited on the first\n", what="what had waited on the first")
    assert (here / "theirs").read_text() == "of the second\n"
    assert (here / "both").read_text() == "edited on the second\n"
    assert sync(laptop, name)["conflicts"] == []
    told = eventually(lambda: str(sync(other, name)["taken_over"]), 30, "word of it on the second laptop")
    assert TAKEN in told
    assert (there / "mine").read_text() == "edited on the second\n"

    laptop.paude("stop", name)
    assert {one for one in kubectl.names() if name in one} == set()
    other.paude("stop", name)  # it has ended: there is only a record to forget
    assert other.records() == {}
    assert (there / "mine").read_text() == "edited on the second\n"
    assert (here / "mine").read_text() == "edited on the first\n"


def test_a_session_that_is_stopped_goes_on_at_another_laptop(
    laptop: Laptop, other_laptop: Laptop, kubectl: Admin
) -> None:
    other = other_laptop
    here = laptop.workspace("project", {"both": "same\n", "mine": "of the first\n"})
    there = other.workspace("copy", {"both": "same\n", "theirs": "of the second\n"})
    name = laptop.start(here)
    laptop.paude("stop", name, "--keep-workspace")

    told = other.paude("attach", name, "--take-over", "--workspace", str(there), "--yes").stderr
    assert f"`paude start {there}` brings it back" in told
    assert other.start(there) == name
    assert (there / "mine").read_text() == "of the first\n"
    assert other.inside(name, "cat theirs") == "of the second\n"
    refused(laptop, "start", str(here), "--agent", "shell", "--detach")
    assert sync(other, name)["healthy"]

    other.paude("stop", name)
    assert {one for one in kubectl.names() if name in one} == set()
    laptop.paude("stop", name)
    assert laptop.records() == {}


def test_a_name_that_nobody_knows_is_told_with_where_was_looked(laptop: Laptop) -> None:
    done = laptop.paude("attach", "nobody", code=4)
    assert "there is no session nobody" in done.stderr
    assert "namespace proj-a" in done.stderr
    assert "paude sessions" in done.stderr
