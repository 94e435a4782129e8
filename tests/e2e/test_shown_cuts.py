"""Network, terminal, pod and node fail, one after the other: what the user sees, and that work goes on."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from peers.cluster import (
    Way,
    evict,
    kill_first_processes,
    kubeconfig_through,
    started_anew,
    uid,
    until_another_pod,
    until_tmux_answers,
    way,
)
from peers.logins import logged_in, short_lived
from peers.terminal import Attached, attached
from peers.waiting import eventually
from peers.web_proxy import squid

from laptop import Admin, Laptop
from paude.ssh.screen import RESET

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Session:
    """A session whose laptop reaches the API server by a relay."""

    laptop: Laptop
    name: str
    workspace: Path
    way: Way

    def arrives(self, file: str, text: str, within: float = 40) -> None:
        """Wait until an edit made here is there; the way may be down meanwhile."""
        (self.workspace / file).write_text(text)
        eventually(lambda: self.laptop.inside(self.name, f"cat {file}", None) == text, within, f"{file} in the pod")

    def comes_back(self, file: str, text: str, within: float = 40) -> None:
        """Make an edit there and wait until it is here."""
        self.laptop.inside(self.name, f"printf %s '{text}' > {file}")
        here = self.workspace / file
        eventually(lambda: here.exists() and here.read_text() == text, within, f"{file} on the laptop")


@pytest.fixture(scope="module")
def session(shared_laptop: Laptop) -> Iterator[Session]:
    with way() as relayed:
        kubeconfig = kubeconfig_through(relayed, shared_laptop.env["KUBECONFIG"], shared_laptop.home / "kubeconfig")
        shared_laptop.env["KUBECONFIG"] = str(kubeconfig)
        workspace = shared_laptop.workspace("work", {"keep/a.txt": "alpha\n", "keep/b.txt": "beta\n"})
        yield Session(shared_laptop, shared_laptop.start(workspace), workspace, relayed)
        relayed.mend()
        shared_laptop.paude("stop", "--all", "--discard", code=None)
        shared_laptop.paude("supervisor", "stop", code=None)


async def test_after_a_cut_terminal_and_sync_go_on_by_themselves(session: Session) -> None:
    async with attached(session.laptop, session.name) as one:
        await one.shell("mark=$((40+2)); echo =$mark=", "=42=")
        session.way.cut()
        await one.user.sees(b"link lost")
        (session.workspace / "meanwhile.txt").write_text("written while the link was down")
        one.user.type(b"echo held=$mark=\r")
        await one.user.sees(b"keys held")
        session.way.mend()
        began = time.monotonic()
        await one.user.sees(b"held=42=", 20)
        print(f"the terminal was back {time.monotonic() - began:.1f} s after the link")  # noqa: T201
        command = "until grep -q 'while the link' meanwhile.txt; do sleep 0.1; done; echo came=$mark="
        await one.shell(command, "came=42=", 40)
        print(f"the file was there {time.monotonic() - began:.1f} s after the link")  # noqa: T201
    session.comes_back("after-cut.txt", "from the pod")


async def test_two_terminals_show_the_same_in_the_size_of_who_typed_last(session: Session) -> None:
    async with attached(session.laptop, session.name) as one, attached(session.laptop, session.name) as other:
        for typing, watching, columns in ((one, other, 100), (other, one, 90), (one, other, 110)):
            typing.user.resize(columns, 24)
            os.kill(typing.process.pid, signal.SIGWINCH)  # its terminal does not control it
            watching.user.shown.clear()
            await typing.shell(
                f"until stty size | grep -q ' {columns}$'; do sleep 0.1; done; echo =$(({columns}+1))=",
                f"={columns + 1}=",
            )
            await watching.user.sees(b"=%d=" % (columns + 1))
        one.user.type(b"~.")
        assert await one.ends() == 0
        await other.shell("echo still=$((1+1))=", "still=2=")


async def test_a_terminal_and_its_supervisor_go_through_a_web_proxy(session: Session) -> None:
    with squid(session.way.port) as proxy:
        behind = replace(session.laptop, env={**session.laptop.env, "HTTPS_PROXY": proxy.url, "NO_PROXY": ""})
        behind.paude("supervisor", "stop")
        async with attached(behind, session.name) as one:
            await one.shell("echo through=$((3+4))=", "through=7=")
            by_terminal = proxy.connections()
            assert by_terminal > 0
            session.way.cut()
            await one.user.sees(b"link lost")
            session.way.mend()
            await one.shell("echo again=$((3+5))=", "again=8=", 30)
        assert behind.inside(session.name, "echo by the supervisor") == "by the supervisor\n"
        assert proxy.connections() > by_terminal
        behind.paude("supervisor", "stop")


async def test_a_login_that_ends_is_renewed_where_there_is_another_and_asked_for_where_there_is_none(
    session: Session, kubectl: Admin
) -> None:
    with short_lived(kubectl) as logins, logged_in(session.laptop.env["KUBECONFIG"]) as log_in:
        first = logins.token()
        log_in(first)
        async with attached(session.laptop, session.name) as one:
            logins.revoke(first)
            await one.shell("echo open=$((5+1))=", "open=6=")  # the stream outlives its login
            assert b"link lost" not in one.user.shown
            second = logins.token()
            log_in(second)
            await cut_once(session, one)
            await one.shell("echo renewed=$((5+2))=", "renewed=7=", 30)
            logins.revoke(second)
            await cut_once(session, one)
            assert await one.ends(30) == 7
            await one.user.sees(b"log in again")
            assert one.user.restored


async def cut_once(session: Session, one: Attached) -> None:
    """Break every connection, and let new ones through once the user has seen it."""
    one.user.shown.clear()
    session.way.cut()
    await one.user.sees(b"link lost")
    session.way.mend()


async def test_a_killed_attach_leaves_a_good_terminal_and_a_session_that_goes_on(session: Session) -> None:
    async with attached(session.laptop, session.name) as one:
        await one.shell("kept=$((70+7)); echo =$kept=", "=77=")
        assert not one.user.restored
        one.user.shown.clear()
        one.kill()
        await one.user.sees(RESET)
        assert one.user.restored
    async with attached(session.laptop, session.name) as again:
        await again.shell("echo again=$kept=", "again=77=")


@pytest.mark.parametrize("end", ["deleted", "evicted"])
async def test_a_pod_that_went_comes_back_with_its_workspace_and_the_terminal_finds_it(
    session: Session, kubectl: Admin, end: str
) -> None:
    session.comes_back("unsaved.txt", "made by the agent")
    async with attached(session.laptop, session.name) as one:
        await one.shell("lost=$((50+5)); echo =$lost=", "=55=")
        before, began = uid(kubectl, session.name), time.monotonic()
        one.user.shown.clear()
        if end == "evicted":
            evict(kubectl, session.name)
        else:
            kubectl("delete", "pod", f"paude-{session.name}-0", "--grace-period=0", "--force", "--wait=false")
        until_another_pod(kubectl, session.name, before)
        until_tmux_answers(kubectl, session.name)
        print(f"the agent ran again after {time.monotonic() - began:.1f} s")  # noqa: T201
        await one.user.sees(b":/workspace$ ", 60)
        await one.user.sees(b"the pod is a new one, and so is this terminal")
        # Another shell: what the first one knew is gone, what was in the workspace is not.
        await one.shell("cat keep/a.txt unsaved.txt; echo shell=$lost=", "shell==", 40)
        assert b"alpha" in one.user.shown
        assert b"made by the agent" in one.user.shown
        print(f"and typed into after {time.monotonic() - began:.1f} s")  # noqa: T201
    session.arrives(f"after-{end}.txt", "still in step")


def test_killed_processes_of_the_pod_come_back_and_sync_goes_on(session: Session, kubectl: Admin) -> None:
    before, pod = until_tmux_answers(kubectl, session.name), uid(kubectl, session.name)
    began = time.monotonic()
    assert len(kill_first_processes(session.name)) == 2  # the gate's and the agent's
    eventually(lambda: until_tmux_answers(kubectl, session.name) != before, 40, "another tmux")
    print(f"the agent ran again after {time.monotonic() - began:.1f} s")  # noqa: T201
    assert uid(kubectl, session.name) == pod
    session.arrives("after-kill.txt", "still in step")
    session.comes_back("after-kill-2.txt", "both ways")


@pytest.mark.slow
@pytest.mark.parametrize("component", ["apiserver", "kubelet"])
async def test_a_part_of_the_cluster_that_is_started_anew_costs_the_terminal_a_moment(
    session: Session, component: str
) -> None:
    """It disturbs everybody who uses the test cluster, for some seconds."""
    async with attached(session.laptop, session.name) as one:
        await one.shell("stays=$((60+6)); echo =$stays=", "=66=")
        began = time.monotonic()
        await anyio.to_thread.run_sync(started_anew, component)
        print(f"the {component} was back after {time.monotonic() - began:.1f} s")  # noqa: T201
        one.user.type(b"echo then=$stays=\r")
        await one.user.sees(b"then=66=", 60)
        told = sorted(set(re.findall(rb"paude: ([a-z ]+) \d+ s", one.user.shown)))
        print(f"and typed into after {time.monotonic() - began:.1f} s; shown: {told}")  # noqa: T201
    session.arrives(f"after-{component}.txt", "still in step", 60)


def test_an_evicted_agent_runs_again_without_any_laptop(session: Session, kubectl: Admin) -> None:
    before = uid(kubectl, session.name)
    session.laptop.paude("supervisor", "stop")
    session.way.cut()
    (session.workspace / "while-away.txt").write_text("edited on a plane")
    began = time.monotonic()
    evict(kubectl, session.name)
    until_another_pod(kubectl, session.name, before)
    until_tmux_answers(kubectl, session.name)
    print(f"the agent ran again after {time.monotonic() - began:.1f} s")  # noqa: T201
    session.way.mend()
    assert session.laptop.inside(session.name, "cat keep/b.txt") == "beta\n"
    eventually(
        lambda: session.laptop.inside(session.name, "cat while-away.txt", None) == "edited on a plane", 40, "the edit"
    )
    assert "state:      running\n" in session.laptop.paude("status", session.name).stdout
