"""`attach` at a real pseudo-terminal, to a real tmux behind a real sshd, over a link that fails on command."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from attaching import attached
from paude.errors import Forbidden, LoginExpired, PaudeError, SessionGone, UsageError
from paude.ssh.connection import connected
from paude.ssh.screen import RESET
from paude.ssh.shell import AgentEnded, Detached, State, Tempo
from paude.ssh.terminal import Terminal
from paude.tunnel.pinned import PodReplaced
from ssh_server import Sshd, sshd
from terminal_user import Tmux, tmux

VERBS = ("-session", "-message", "-client", "-clients", "-option")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path) as one:
        yield one


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Tmux]:
    with tmux(tmp_path, "cat") as one:
        yield one


async def test_what_is_typed_arrives_and_what_is_shown_is_seen(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.user.type(b"hello\r")
        await agent.holds("hello", "hello")
        await one.user.sees(b"hello")


async def test_leaving_restores_the_terminal_and_keeps_the_session(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        assert not one.user.restored
        one.user.type(b"~.")
        assert await one.ends() == Detached()
        assert one.user.restored
        await one.user.sees(RESET)
        assert agent("has-session", "-t", "agent") == ""


async def test_tmuxs_own_detach_is_a_detach(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.user.type(b"\x02d")
        assert await one.ends() == Detached()


async def test_the_end_of_the_session_is_the_agents_end(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.user.type(b"\x04")
        assert await one.ends() == AgentEnded(None)


@pytest.mark.parametrize(("left", "code"), [({"code": 3}, 3), ({"code": "\x1b[31m"}, None), ({"code": 99999}, None)])
async def test_the_agents_exit_code_is_a_number_or_nothing(server: Sshd, agent: Tmux, left: dict, code: int | None):
    (server.directory / "ended").write_text(json.dumps(left))
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.user.type(b"\x02d")
        assert await one.ends() == AgentEnded(code)


async def test_a_terminal_whose_end_nobody_explains_is_a_lost_link_and_not_the_end(server: Sshd, agent: Tmux):
    with _never_answered(server.directory / "ended"):
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\x02d")
            await one.becomes(State.DOWN)
            await one.becomes(State.LIVE)
            one.user.type(b"here\r")
            await agent.holds("here", "here")


async def test_a_login_costs_three_clients_of_tmux(tmp_path: Path, agent: Tmux):
    """One waits until the agent's terminal is there, one is the user's, one says which server it is."""
    told, client = tmp_path / "told", tmp_path / "bin" / "tmux"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {told}\nPATH={os.environ["PATH"]} exec tmux "$@"\n')
    client.chmod(0o755)
    with sshd(tmp_path, f"SetEnv PATH={client.parent}:{os.environ['PATH']}") as server:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
    clients = [word for line in told.read_text().splitlines() for word in line.split() if word.endswith(VERBS)]
    assert sorted(clients) == ["attach-session", "display-message", "has-session"]


@contextmanager
def _never_answered(path: Path) -> Iterator[None]:
    """A pipe at `path`: whoever reads it waits until this ends."""
    os.mkfifo(path)
    try:
        yield
    finally:
        with suppress(OSError):  # nobody reads it
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


async def test_after_a_cut_it_is_live_again_and_what_was_typed_meanwhile_arrives_once(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.user.type(b"meanwhile\r")
        await one.user.sees(b"10 keys held")
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        await agent.holds("meanwhile", "meanwhile")


async def test_ten_cuts_are_ten_reconnections(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        for _ in range(10):
            await one.becomes(State.LIVE)
            one.link.relay.cut()
            await one.becomes(State.DOWN)
            one.link.relay.mend()
        await one.becomes(State.LIVE)
        one.user.type(b"still here\r")
        await one.user.sees(b"still here")
        assert len(agent.clients()) == 1


async def test_a_black_hole_is_shown_and_keys_are_held_until_the_link_is_back(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.stall()
        await one.user.sees(b"no answer")
        one.user.type(b"abc\r")
        await one.user.sees(b"4 keys held")
        one.link.relay.flow()
        await one.becomes(State.LIVE)
        await agent.holds("abc", "abc")


async def test_a_stall_that_ends_keeps_or_replaces_the_client_but_never_doubles_it(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        for number in range(5):
            await one.becomes(State.LIVE)
            one.link.relay.stall()
            await one.becomes(State.SUSPECT)
            one.link.relay.flow()
            await one.becomes(State.LIVE)
            one.user.type(b"n%d\r" % number)
            await agent.holds(*(f"n{n}" for n in range(number + 1) for _ in range(2)))
        assert len(agent.clients()) == 1


async def test_held_keys_never_reach_another_tmux_server(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.user.type(b"rm -rf x\r")
        await one.user.sees(b"9 keys held")
        agent.begin_again("cat")
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        await one.user.sees(b"started anew, this terminal is a new one; 9 keys dropped")
        one.user.type(b"new\r")
        await agent.holds("new", "new")


async def test_held_keys_never_reach_another_pod_whatever_that_calls_itself(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.user.type(b"rm -rf x\r")
        await one.user.sees(b"9 keys held")
        one.link.once.append(PodReplaced("the session's pod was replaced"))
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        await one.user.sees(b"the pod is a new one, and so is this terminal; 9 keys dropped")
        one.user.type(b"new\r")
        await agent.holds("new", "new")


async def test_a_laptop_that_slept_while_the_router_forgot_its_connections_goes_on(server: Sshd, agent: Tmux):
    async with attached(server, agent, Tempo(keepalive=60, silence=120)) as one:
        await one.becomes(State.LIVE)
        one.link.relay.forget()
        one.clock.jump = 3600
        await one.becomes(State.SUSPECT)
        one.user.type(b"awake\r")
        await one.becomes(State.LIVE)
        await agent.holds("awake", "awake")
        assert len(one.link.relay.dial_times) >= 2


async def test_an_outage_in_which_every_packet_is_lost_is_survived_with_few_dials(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.darken()
        await one.user.sees(b"link lost 5 s")
        one.user.type(b"dark\r")
        await one.user.sees(b"5 keys held")
        assert one.link.dials <= 4
        one.link.relay.lighten()
        await one.becomes(State.LIVE)
        await agent.holds("dark", "dark")


@pytest.mark.parametrize(
    "bulk", ["head -c 20000000 /dev/zero", "cat > /dev/null"], ids=["down", "up, over a full uplink"]
)
async def test_a_transfer_beside_the_terminal_does_not_cost_it_its_link(server: Sshd, agent: Tmux, bulk: str):
    trust = {"key": server.client.private_openssh, "host_key": server.host.public_openssh, "username": server.user}
    async with attached(server, agent, Tempo()) as one:
        await one.becomes(State.LIVE)
        one.link.relay.rate = 200e3 if "cat" in bulk else 0
        async with connected(await one.link.dial(0), **trust) as other, anyio.create_task_group() as tasks:
            ended = anyio.Event()

            async def transfer() -> None:
                await other.run(bulk, stdin=bytes(1_000_000))
                ended.set()

            tasks.start_soon(transfer)
            number = 0
            while not ended.is_set():
                number += 1
                one.user.type(b"n%d\r" % number)
                await one.user.sees(b"n%d" % number, 30)
        assert State.DOWN not in one.states


async def test_the_same_terminal_is_not_called_a_new_one(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        one.user.type(b"same\r")
        await agent.holds("same", "same")
        assert b"started anew" not in one.user.shown


async def test_held_keys_can_be_dropped(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.user.type(b"oops")
        await one.user.sees(b"4 keys held")
        one.user.type(b"\x03x")
        await one.user.sees(b"1 keys held")
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        one.user.type(b"\r")
        await agent.holds("x", "x")


async def test_a_second_laptop_stays_attached_when_the_first_reconnects(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one, attached(server, agent) as other:
        await one.becomes(State.LIVE)
        await other.becomes(State.LIVE)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        one.link.relay.mend()
        await one.becomes(State.LIVE)
        other.user.type(b"both\r")
        await one.user.sees(b"both")
        await other.user.sees(b"both")
        await agent.holds("both", "both")
        assert other.states == [State.CONNECTING, State.LIVE]
        assert len(agent.clients()) == 2


async def test_leaving_works_while_the_link_is_down(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.relay.stall()
        await one.becomes(State.SUSPECT)
        one.user.type(b"\r~.")
        assert await one.ends() == Detached()
        assert one.user.restored


async def test_waking_up_connects_anew_at_once(server: Sshd, agent: Tmux):
    async with attached(server, agent, Tempo(keepalive=60, silence=120)) as one:
        await one.becomes(State.LIVE)
        one.link.relay.stall()
        one.clock.jump = 3600
        await one.becomes(State.SUSPECT)
        one.user.type(b"awake\r")
        one.link.relay.flow()
        await one.becomes(State.LIVE)
        await one.user.sees(b"awake")


async def test_another_network_makes_it_ask_and_a_living_link_stays(server: Sshd, agent: Tmux):
    async with attached(server, agent, Tempo(keepalive=60, silence=120)) as one:
        await one.becomes(State.LIVE)
        one.clock.address = "192.0.2.7"
        await one.becomes(State.SUSPECT)
        await one.becomes(State.LIVE)
        one.user.type(b"here\r")
        await one.user.sees(b"here")
        assert len(agent.clients()) == 1


async def test_the_window_follows_the_terminal(server: Sshd, tmp_path: Path):
    with tmux(tmp_path, "sh -c 'while read x; do stty size; done'") as agent:
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"\r")
            await one.user.sees(b"24 80")
            agent("set-hook", "-g", "client-resized", "send-keys -t agent Enter")
            one.user.resize(100, 30)
            os.kill(os.getpid(), signal.SIGWINCH)  # this terminal does not control the test
            await one.user.sees(b"30 100")


@pytest.mark.parametrize(
    "error",
    [
        LoginExpired("the cluster does not accept your login"),
        Forbidden("you may not open a tunnel"),
        SessionGone("the pod is gone"),
    ],
)
async def test_what_reconnecting_cannot_heal_ends_it_with_the_reason(server: Sshd, agent: Tmux, error: PaudeError):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        one.link.error = error
        one.link.relay.cut()
        assert await one.ends() is error
        assert one.user.restored


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (SessionGone("the pod is gone"), b"may come back"),
        (Forbidden("you may not open a tunnel"), b"may not open"),  # so says an API server that has just begun
        (LoginExpired("the cluster does not accept your login"), b"does not accept"),
    ],
)
async def test_what_is_refused_for_a_moment_only_is_waited_for(
    server: Sshd, agent: Tmux, error: PaudeError, shown: bytes
):
    async with attached(server, agent, Tempo(keepalive=0.15, silence=0.4, gone_after=60, refused_after=60)) as one:
        await one.becomes(State.LIVE)
        one.link.error = error
        one.link.relay.cut()
        await one.user.sees(shown)
        one.link.error = None
        one.link.relay.mend()
        await one.becomes(State.LIVE)


async def test_a_long_outage_is_met_with_few_dials(server: Sshd, agent: Tmux):
    async with attached(server, agent) as one:
        await one.becomes(State.LIVE)
        before = len(one.link.relay.dial_times)
        one.link.relay.cut()
        await one.becomes(State.DOWN)
        await one.user.sees(b"link lost 5 s")
        times = one.link.relay.dial_times[before:]
        assert len(times) >= 2
        assert all(sum(t <= u < t + 1 for u in times) <= 5 for t in times)


async def test_without_a_terminal_it_refuses(server: Sshd):
    with socket.socket() as nothing, pytest.raises(UsageError):
        async with Terminal(nothing.fileno(), nothing.fileno()).raw():
            pass


async def test_nothing_outlives_it(server: Sshd, agent: Tmux):
    before, children_before = len(os.listdir("/proc/self/fd")), await children()
    for _ in range(2):
        async with attached(server, agent) as one:
            await one.becomes(State.LIVE)
            one.user.type(b"~.")
            await one.ends()
    assert await children() <= children_before
    assert len(os.listdir("/proc/self/fd")) <= before


async def children() -> set[str]:
    """The children of this process, also those that have ended and that nobody waited for."""
    listed = await anyio.run_process(["pgrep", "-P", str(os.getpid())], check=False)
    return set(listed.stdout.decode().split())
