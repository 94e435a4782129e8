"""An agent that dials the outside in a tight loop from its first instant to its last: nothing ever arrives.

Start and teardown are where walls have gaps: policies in force after the pod, or gone before it.
"""

from __future__ import annotations

import pytest
from peers.waiting import eventually

from laptop import Admin, Laptop
from world.client import World

pytestmark = pytest.mark.cluster

TARGET, PORT = "198.51.100.77", 8080  # nobody else's in these tests
# Datagrams without a pause, and a new TCP connection every 20 ms, each given up after a second.
DIAL = (
    f"trap '' TERM HUP; (while :; do echo x > /dev/udp/{TARGET}/{PORT}; done) 2> /dev/null &"
    f" while :; do timeout -s KILL 1 bash -c ': > /dev/tcp/{TARGET}/{PORT}' 2> /dev/null & sleep 0.02; done"
)


def dialled(world: World) -> tuple[int, int]:
    seen = world.seen()
    return seen.hits(TARGET, PORT, "tcp"), seen.hits(TARGET, PORT, "udp")


def start(laptop: Laptop, name: str, *words: str) -> str:
    directory = laptop.home / name
    directory.mkdir(exist_ok=True)
    (directory / "README").write_text("x\n")
    laptop.paude("start", str(directory), "--agent", "shell", "--detach", "--cpu", "500m", *words, "--", "-c", DIAL)
    return str(laptop.records()[str(directory)]["name"])


def dials(laptop: Laptop, session: str) -> None:
    """The loop does run: without that its silence would mean nothing."""
    eventually(
        lambda: "/dev/udp/" in laptop.inside(session, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), what="the loop"
    )


def starts_and_stops(laptop: Laptop, times: int) -> None:
    world = World()
    before = dialled(world)
    for number in range(times):
        name = start(laptop, f"dials-{number}")
        dials(laptop, name)
        # Both ends of a life: brought home and flushed, or just taken down.
        laptop.paude("stop", name, *(("--discard",) if number % 2 else ()), code=None)
        laptop.paude("stop", name, "--discard", code=None)
        assert dialled(world) == before, f"something arrived in life {number}"


def test_the_loop_does_arrive_where_there_is_no_wall(laptop: Laptop, kubectl: Admin) -> None:
    """The control."""
    world = World()
    tcp, udp = dialled(world)
    name = start(laptop, "free", "--allow-network")
    eventually(lambda: all(now > before for now, before in zip(dialled(world), (tcp, udp), strict=True)))
    laptop.paude("stop", name, "--discard")
    eventually(lambda: f"pod/paude-{name}-0" not in kubectl.names(), within=60)
    after = dialled(world)
    assert name not in laptop.paude("sessions", "-o", "name").stdout  # the loop would have dialled many times meanwhile
    assert dialled(world) == after, "it would disturb the tests that come"


def test_nothing_arrives_in_five_lives(laptop: Laptop) -> None:
    starts_and_stops(laptop, 5)


@pytest.mark.slow
def test_nothing_arrives_in_fifty_lives(laptop: Laptop) -> None:
    starts_and_stops(laptop, 50)
